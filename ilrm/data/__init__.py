"""Scenes: read from disk or drawn, batches of views made of them."""
