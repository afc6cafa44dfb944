"""One renderer a format: from findings to what is printed."""
