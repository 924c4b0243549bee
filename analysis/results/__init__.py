"""A results folder as numbers: frames and tables, nothing drawn."""
