"""Runs that wait for a device, and the process that starts them. Nothing here draws."""
