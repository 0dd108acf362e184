"""The New screen."""
