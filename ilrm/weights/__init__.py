"""Weights in files, and those that come with the package."""
