"""The runs folder as a list: scanned, filtered, grouped, and what may be done to its runs. Nothing here draws."""
