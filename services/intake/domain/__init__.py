"""What intake knows without any I/O: what a ticket may look like, what is hidden in it, and where it can stand."""
