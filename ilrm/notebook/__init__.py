"""What notebooks need: their parameters, checked, and the `papermill` command."""
