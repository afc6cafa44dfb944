"""What can be proved of a policy: every finding of classes 2 to 4, with its witness."""
