"""Scenes, read from disk or generated, and the batches of views built from them."""
