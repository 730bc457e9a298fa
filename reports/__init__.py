"""Published numbers, tables and figures made from the run store."""
