"""Arrays in, arrays out: bootstrap, tests, ranks and curves."""
