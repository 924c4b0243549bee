"""Warm starts from earlier runs: the best cells that a run of a results folder found on another dataset."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nasgauge.harness.records.folders import each_record
from nasgauge.harness.records.steps import Steps
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.checksums import checksum
from nasgauge.spaces.errors import NasgaugeError


class UnknownWarmStart(NasgaugeError, ValueError):
    """A warm start by a proxy without scores, from runs that are not there, or of an impossible size."""


@dataclass(frozen=True, eq=False)
class Past:
    """One earlier run."""

    ranks_N: NDArray[np.intp]
    """`Cell.rank` of its distinct cells, the highest search metric first."""
    seconds: float
    """Simulated seconds of its queries, and of the search itself where they were charged; 0 if not known."""


def check_source(text: str, folder: Path) -> None:
    """Raise UnknownWarmStart if the warm start `text` is from the runs of `folder`, which grow while it is searched.

    >>> check_source("results/bench@cifar10", Path("results/other"))
    """
    source, at, _ = text.rpartition("@")
    if at and Path(source).resolve() == folder.resolve():
        raise UnknownWarmStart(
            f"a warm start from {source} cannot be kept in that folder; give another folder for the results"
        )


@cache
def digest_of(runs: tuple[Past, ...]) -> str:
    """SHA-256 of runs in their order, however they are distributed over files.

    >>> digest_of((Past(np.array([7, 3]), 0.5),))[:8], digest_of((Past(np.array([3, 7]), 0.5),))[:8]
    ('c339a224', 'ca6cdfc1')
    """
    lengths, seconds = zip(*((len(run.ranks_N), round(run.seconds, 3)) for run in runs), strict=True)
    return checksum({"cells": lengths, "seconds": seconds}, (run.ranks_N.astype(np.int64) for run in runs))


def past(text: str) -> tuple[Past, ...]:
    """All runs of `FOLDER@DATASET`, in order of searcher and seed.

    Raises UnknownWarmStart, OtherCampaign, InvalidCell.
    """
    folder, _, dataset = text.rpartition("@")
    changed = Path(folder).stat().st_mtime_ns if Path(folder).is_dir() else 0
    return _past(folder, dataset, changed)


@cache
def _past(folder: str, dataset: str, _changed: int) -> tuple[Past, ...]:
    found: dict[tuple[str, int], Past] = {}
    others: set[str] = set()
    left_out: list[str] = []
    for _, record in each_record(Path(folder), left_out):
        others.add(record.header.dataset)
        if record.header.dataset == dataset:
            found |= {(record.header.searcher, seed): one for seed, one in _runs(record.steps)}
    if left_out:  # once it is mended or run again, the same search would begin otherwise
        raise UnknownWarmStart(f"the runs of {folder} are not whole: {left_out[0]}")
    if not found:
        raise UnknownWarmStart(
            f"{folder} has no runs on {dataset!r}; choose from {', '.join(sorted(others)) or 'another folder'}"
        )
    return tuple(found[key] for key in sorted(found))


def _runs(steps: Steps) -> Iterator[tuple[int, Past]]:
    ranks = np.array([Cell.parse(text).rank for text in steps.cells], dtype=np.intp)
    for seed in np.unique(steps.seed).tolist():
        own = np.flatnonzero((steps.seed == seed) & np.isfinite(steps.validation))
        ordered = ranks[steps.cell[own[np.argsort(-steps.validation[own], kind="stable")]]]
        _, first = np.unique(ordered, return_index=True)
        charged = steps.charged & (steps.seed == seed)
        seconds = float(np.nan_to_num(steps.seconds[charged].sum()))
        yield seed, Past(ordered[np.sort(first)], seconds)
