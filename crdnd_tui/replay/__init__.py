"""Recorded runs, played again for the demo."""
