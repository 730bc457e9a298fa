"""Reading and writing of weights, and the weights that come with the package."""
