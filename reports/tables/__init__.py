"""Tables: of a run, of the paper beside what was measured, of costs and evaluations."""
