"""Tables of runs, of the paper's results next to ours, of costs and of evaluations."""
