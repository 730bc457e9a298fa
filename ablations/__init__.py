"""Studies: which field varies over which values, run as a queue of cells by any number of workers."""
