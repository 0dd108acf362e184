"""One source, one file. Each offers `load(spec, folder) -> Dataset`: the official splits, whole, in uint8."""
