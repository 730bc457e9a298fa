"""Infrastructure that does not depend on the paper: files, processes, environment, timing."""
