"""Studies that need more than one search."""
