"""Measurements of the engine against plain transcriptions of what is published. README.md holds the figures."""
