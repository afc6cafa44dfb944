"""What can hold together: the theory that policies are decided in."""
