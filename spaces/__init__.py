"""What a cell is, and which cells a search may choose: values without any file, table or network."""
