"""The laws that a searcher keeps, and a kit that tries to catch it breaking them.

landscape  a computed oracle, so that no table is near
laws       each law, tried on a searcher in this process
child      a process of its own for them, with its own hash seed
check      starts such processes, with time limits, and says which law was broken and how
golden     the first cells of a seed, compared exactly
"""
