"""Differentiable rendering of 3D Gaussians: gsplat on CUDA, Numba kernels on the CPU."""

from ilrm.rendering.rasterization import rasterization
from ilrm.rendering.render import Rendering, render

__all__ = ["Rendering", "rasterization", "render"]
