"""The contract of a searcher, as twelve laws, and tests of each.

landscape  a computed oracle, so that no table is near
laws       each law, tried on a searcher in this process
child      a process of its own for them, with its own hash seed
check      starts such processes, with time limits, and says which law was broken and how
golden     the first cells of a seed, compared exactly
"""
