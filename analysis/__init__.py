"""From result files to figures and tables; never runs a search."""
