"""Published numbers, and tables and figures generated from recorded runs."""
