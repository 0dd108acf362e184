"""Documents and every format that they are written in."""
