"""Regression tests of search quality: compare searchers with per-seed results stored earlier.

measure    run searchers, by blocks of seeds, each block under a time limit
baseline   what was measured then: one JSON file, a line for each run
verdicts   worse, same, better or cannot tell: arrays in, verdicts out
compare    baseline and measurement -> report, and its exit code
render     a report as Markdown and as JUnit XML
golden     the first cells of a seed, compared exactly
"""
