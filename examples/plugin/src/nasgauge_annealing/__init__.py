"""A searcher and a zero-cost proxy for nasgauge, which finds both by the entry points in `pyproject.toml`."""
