"""Studies: one file, many runs, one table: the grid, what was done of it, its conduct, and its report."""
