"""iLRM, an iterative large 3D reconstruction model: posed photos to 3D Gaussians in one pass."""
