"""Figures of runs, studies, sweeps, costs, attention and layers, in one style."""
