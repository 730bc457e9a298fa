"""From a capture to Gaussians, and what is wrong where they are poor."""
