"""What Examples shows."""
