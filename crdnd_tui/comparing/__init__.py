"""Several runs as one: tables, curves, differences. Nothing here draws."""
