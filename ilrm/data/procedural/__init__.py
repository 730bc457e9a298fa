"""Procedurally generated scenes: data that needs no download."""
