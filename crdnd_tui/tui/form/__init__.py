"""The form of New."""
