"""Charts in Braille characters."""
