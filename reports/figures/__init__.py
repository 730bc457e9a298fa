"""Figures of runs, studies, sweeps, costs, attention and layers."""
