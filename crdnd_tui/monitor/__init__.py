"""One run as it is watched: read, folded into curves, told in words. Nothing here draws."""
