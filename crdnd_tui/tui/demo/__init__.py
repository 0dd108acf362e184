"""A recorded run, played."""
