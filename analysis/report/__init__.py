"""The page and the files of a report."""
