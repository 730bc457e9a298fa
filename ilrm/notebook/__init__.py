"""Support for notebooks: validation of their parameters, and the `papermill` command."""
