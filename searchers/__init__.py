"""How to choose cells: one algorithm a file, readable alone."""
