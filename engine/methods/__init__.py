"""One method, one file. Each holds a class `Method(hp, nets)` whose `loss` reads like its paper's algorithm."""
