"""The training loop and its parts: losses, optimisers, initialisation, checkpoints."""
