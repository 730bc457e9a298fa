"""Ablation studies: variants of a base configuration, run as a queue of cells by any number of workers."""
