"""Export of reconstructions: PLY, viewer, video, pictures."""
