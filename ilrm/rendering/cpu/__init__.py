"""The CPU rasteriser: Numba kernels behind one autograd function."""
