"""Readers of scenes on disk: every layout is converted to `Scene`."""
