"""Studies: many runs from one file."""
