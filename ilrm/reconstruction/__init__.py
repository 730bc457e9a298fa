"""Reconstruction of captures, and diagnosis of poor results."""
