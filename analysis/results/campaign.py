"""A results folder in memory: its runs, its yardsticks, and what is missing from it."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nasgauge.analysis.statistics.curves import Runs, align
from nasgauge.harness.records.results import Reference, Settings, records_of, references_of, settings_of
from nasgauge.harness.records.steps import Header, Record
from nasgauge.spaces.errors import NasgaugeError


class NoResults(NasgaugeError, LookupError):
    """A folder without a single readable result file."""


@dataclass(frozen=True)
class Campaign:
    """A results folder in memory."""

    settings: Settings
    references: Mapping[str, Reference]
    """By dataset; of cells that are trained nothing is known before."""
    headers: Mapping[tuple[str, str], tuple[Header, ...]]
    """The headers of the files behind each (dataset, searcher)."""
    runs: Mapping[tuple[str, str], Runs]
    """By (dataset, searcher)."""
    notes: tuple[str, ...]
    """What is missing or damaged, in words."""

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
        """In order of their names."""
        return sorted({searcher for _, searcher in self.runs})

    def on(self, dataset: str) -> dict[str, Runs]:
        """The runs on a dataset, by searcher."""
        return {searcher: runs for (key, searcher), runs in self.runs.items() if key == dataset}


def load(folder: Path) -> Campaign:
    """Read all result files of a folder; what is damaged, foreign or missing is told, and the rest is used.

    Raises OtherCampaign, NoResults.
    """
    settings = settings_of(folder)
    references = references_of(folder)
    records, notes = records_of(folder)
    groups: dict[tuple[str, str], list[Record]] = defaultdict(list)
    while records:  # emptied as we go: a large campaign is in memory once
        record = records.pop(0)
        groups[record.header.dataset, record.header.searcher].append(record)
    if not groups:
        found = f": {'; '.join(notes)}" if notes else ""
        raise NoResults(f"{folder} holds no readable result file{found}; run the campaign first")
    headers = {key: tuple(record.header for record in group) for key, group in sorted(groups.items())}
    runs: dict[tuple[str, str], Runs] = {}
    for key in sorted(groups):
        aligned = align([record.steps for record in groups.pop(key)])
        notes += _lacking(*key, aligned, settings)
        whole = np.isfinite(aligned.incumbent.sum(axis=1))
        if whole.any():
            runs[key] = aligned.only(whole)
    if not runs:
        raise NoResults(f"no run in {folder} has a reported accuracy: {'; '.join(notes)}")
    for dataset in settings.datasets:
        ran = {searcher for key, searcher in runs if key == dataset}
        for searcher in sorted({searcher for _, searcher in runs} - ran):
            notes.append(f"{searcher} on {dataset} has no readable run")
    return Campaign(settings, references, headers, runs, tuple(notes))


def _lacking(dataset: str, searcher: str, runs: Runs, settings: Settings) -> list[str]:
    who = f"{searcher} on {dataset}"
    notes = []
    if len(runs.seeds) < settings.seeds:
        notes.append(f"{who} has {len(runs.seeds)} of {settings.seeds} seeds")
    if len(runs.seeds) == 1:
        notes.append(f"{who} has one seed: no interval can be given")
    undefined = int((np.isneginf(runs.validation) & (runs.cell >= 0)).sum())
    if undefined:
        notes.append(f"{who} has {undefined} steps without a validation accuracy; such a cell never leads")
    unreported = int(np.isnan(runs.incumbent).any(axis=1).sum())
    if unreported:
        notes.append(f"{who} has {unreported} runs with a leader without reported accuracy (NaN), left out")
    return notes
