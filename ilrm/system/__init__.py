"""Files, processes, environment: what has nothing to do with the paper."""
