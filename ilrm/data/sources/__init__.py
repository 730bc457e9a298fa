"""Scenes on disk: every layout becomes the same `Scene`."""
