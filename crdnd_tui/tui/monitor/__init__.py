"""What Live shows."""
