"""Reading and writing of weights, and the packaged weights."""
