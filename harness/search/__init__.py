"""One search, and many searches at once."""
