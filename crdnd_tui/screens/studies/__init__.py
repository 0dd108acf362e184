"""The Studies screen."""
