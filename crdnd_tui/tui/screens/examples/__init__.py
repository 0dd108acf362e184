"""The Examples screen."""
