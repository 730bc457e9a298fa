"""The run store: what was computed, kept in folders."""
