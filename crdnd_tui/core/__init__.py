"""Read run folders, start engines, and say what they mean."""
