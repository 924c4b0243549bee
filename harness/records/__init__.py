"""Result files and training records: what is written once and read by analysis."""
