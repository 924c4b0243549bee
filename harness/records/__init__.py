"""File formats of results and of trainings, written by searches and read by the analysis."""
