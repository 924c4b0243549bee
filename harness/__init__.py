"""Everything needed to say how good a cell is, and to run many searches."""
