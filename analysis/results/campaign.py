"""A results folder in memory: its runs, its references, and what is missing from it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np

from nasgauge.analysis.statistics.curves import Runs, align
from nasgauge.harness.records.folders import each_record
from nasgauge.harness.records.results import Reference, Settings, references_of, settings_of
from nasgauge.harness.records.steps import Header, Record, Steps
from nasgauge.spaces.errors import NasgaugeError


class NoResults(NasgaugeError, LookupError):
    """A folder without a single readable run."""


@dataclass(frozen=True)
class Campaign:
    """A results folder in memory."""

    settings: Settings
    references: Mapping[str, Reference]
    """By dataset; empty where cells are trained, for then no optimum is known."""
    headers: Mapping[tuple[str, str], tuple[Header, ...]]
    """The headers of the files behind each (dataset, searcher)."""
    runs: Mapping[tuple[str, str], Runs]
    """By (dataset, searcher); without those that have no run."""
    notes: tuple[str, ...]
    """What is missing or damaged, a line each."""

    @property
    def table(self) -> str:
        """Name of the table."""
        return next(iter(self.headers.values()))[0].table

    @property
    def datasets(self) -> list[str]:
        """In the campaign's order."""
        found = {dataset for dataset, _ in self.runs}
        return [dataset for dataset in self.settings.datasets if dataset in found]

    @property
    def searchers(self) -> list[str]:
        """Those with a run, in order of their names."""
        return sorted({searcher for _, searcher in self.runs})

    @property
    def without_runs(self) -> list[tuple[str, str]]:
        """The (dataset, searcher) of this campaign that have no run."""
        known = sorted({searcher for _, searcher in (*self.headers, *self.runs)})
        pairs = [(dataset, searcher) for dataset in self.datasets for searcher in known]
        return [pair for pair in pairs if pair not in self.runs]

    def on(self, dataset: str) -> dict[str, Runs]:
        """The runs on a dataset, by searcher."""
        return {searcher: runs for (key, searcher), runs in self.runs.items() if key == dataset}


def load(folder: Path) -> Campaign:
    """Read all result files of a folder; what is damaged, foreign or missing becomes a note.

    A run counts once: where two files hold the same seed, the first one is used. Raises OtherCampaign, NoResults.
    """
    settings = settings_of(folder)
    references = references_of(folder)
    notes: list[str] = []
    headers: dict[tuple[str, str], tuple[Header, ...]] = {}
    runs: dict[tuple[str, str], Runs] = {}
    of_runs: dict[tuple[str, str], list[str]] = {}
    for key, records in _groups(folder, notes):  # one in memory at a time
        headers[key] = tuple(record.header for record in records)
        lost = {record.lost: None for record in records if record.lost}
        parts, again = _distinct([record.steps for record in records])
        del records
        of_runs[key] = (
            [f"{_name(key)}: {again} seeds are in two files; the first file of each is used"] if again else []
        )
        notes += [line for line in lost if line not in notes]
        if not parts:
            continue
        aligned = align(parts)
        of_runs[key] += _lacking(_name(key), aligned, settings)
        whole = np.isfinite(aligned.incumbent.sum(axis=1))
        if whole.any():
            runs[key] = aligned if whole.all() else aligned.only(whole)
    if not headers:
        found = f": {'; '.join(notes)}" if notes else ""
        raise NoResults(f"{folder} holds no readable result file{found}; run the campaign first")
    notes += [line for key in sorted(of_runs) for line in of_runs[key]]
    headers, runs = dict(sorted(headers.items())), dict(sorted(runs.items()))
    if not runs:
        notes += [f"{_name(key)}: no runs" for key in headers]
        raise NoResults(f"no run in {folder} has a reported accuracy: {'; '.join(notes)}")
    campaign = Campaign(settings, references, headers, runs, ())
    notes += [f"{_name(key)}: no runs" for key in campaign.without_runs]
    return replace(campaign, notes=tuple(notes))


def _groups(folder: Path, notes: list[str]) -> Iterator[tuple[tuple[str, str], list[Record]]]:
    """The records of each (dataset, searcher); files stand in order of both, so that one group is read at a time.

    A group that turns up again, under other file names, is given again with all its files.
    """
    seen: set[tuple[str, str]] = set()
    for key, part in groupby((record for _, record in each_record(folder, notes)), _key):
        found = (
            [record for _, record in each_record(folder, []) if _key(record) == key]
            if key in seen
            else list(part)
        )
        seen.add(key)
        yield key, found


def _key(record: Record) -> tuple[str, str]:
    return record.header.dataset, record.header.searcher


def _name(key: tuple[str, str]) -> str:
    dataset, searcher = key
    return f"{searcher} on {dataset}"


def _distinct(parts: list[Steps]) -> tuple[list[Steps], int]:
    """The files that have steps, each without the seeds of those before it, and how many seeds these were."""
    parts = [part for part in parts if part.seed.size]
    every = [np.unique(part.seed) for part in parts]
    if not parts or len(np.unique(np.concatenate(every))) == sum(map(len, every)):
        return parts, 0
    kept, seen, again = [], np.empty(0, dtype=np.int32), 0
    for part in parts:
        seeds = np.unique(part.seed)
        again += len(np.intersect1d(seeds, seen))
        fresh = ~np.isin(part.seed, seen)
        if fresh.all():
            kept.append(part)
        elif fresh.any():
            rows = {name: values[fresh] for name, values in vars(part).items() if name != "cells"}
            kept.append(replace(part, **rows))
        seen = np.union1d(seen, seeds)
    return kept, again


def _lacking(who: str, runs: Runs, settings: Settings) -> list[str]:
    notes = []
    if len(runs.seeds) < settings.seeds:
        notes.append(f"{who}: {len(runs.seeds)} of {settings.seeds} runs")
    if len(runs.seeds) == 1:
        notes.append(f"{who}: one run, so no interval can be given")
    undefined = int((np.isneginf(runs.validation) & (runs.cell >= 0)).sum())
    if undefined:
        notes.append(f"{who}: {undefined} steps have no search metric (NaN) and never set the incumbent")
    unreported = int(np.isnan(runs.incumbent).any(axis=1).sum())
    if unreported:
        notes.append(
            f"{who}: {unreported} runs with an incumbent without reported accuracy (NaN) are left out"
        )
    return notes
