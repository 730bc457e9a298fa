"""The CPU rasterizer: Numba kernels wrapped in an autograd function."""
