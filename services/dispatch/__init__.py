"""Work orders straight to the executing departments, and their answers straight back."""
