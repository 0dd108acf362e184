"""The queue of one machine."""
