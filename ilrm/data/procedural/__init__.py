"""Rooms that are drawn: the data that needs no download."""
