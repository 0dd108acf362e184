"""Device, randomness, processes, signals, locks."""
