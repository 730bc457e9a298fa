"""The run store: results in folders."""
