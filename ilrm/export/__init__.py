"""What leaves the package: PLY, viewer, video, pictures."""
