"""Evaluation of a model: metrics next to baselines, per-layer quality, and attention maps."""
