"""Make a baseline, and compare searchers with it."""

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from pydantic import ValidationError

from nasgauge.data import DEFAULT_TABLE
from nasgauge.gate.baseline import (
    BadBaseline,
    BadSettings,
    Baseline,
    Settings,
    assemble,
    check_margin,
    checked,
    load,
    save,
)
from nasgauge.gate.compare import Report, check_seeds, compare
from nasgauge.gate.measure import Crew, Measured, accuracies, crew, datasets_of, describe, measure, truth
from nasgauge.gate.verdicts import seeds_needed
from nasgauge.harness.search.failures import SearcherFailed
from nasgauge.harness.search.specs import Searchable

DEFAULTS: Final = Settings(table=DEFAULT_TABLE, budgets=(50, 150), first_seed=0, seeds=400, margin="25%")
SEARCHERS: Final = ("random", "evolution", "local", "reinforce")
TIME_LIMIT: Final = 120.0
"""Seconds for ten runs of one searcher."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Time limit, processes and progress callback of a run; no result depends on them."""

    time_limit: float = TIME_LIMIT
    workers: int = -1
    """Processes; -1: one for each core."""
    advance: Callable[[int, int], object] | None = None
    """Called with the number of runs that ended since the last call, and of all runs."""


def update(
    path: Path,
    asked: Mapping[str, object],
    searchers: Sequence[Searchable] = (),
    datasets: Sequence[str] = (),
    bounds: Bounds = Bounds(),
) -> Baseline:
    """Run searchers and store what they did; `path` changes at the very end or never.

    `searchers` are names, `module:Class`, or classes that can be imported. What is not `asked` (names of
    `Settings`), nor named, is as in the file that is there, or as in `DEFAULTS`.

    Raises BadSettings, BadBaseline for a file there that is no baseline, SearcherFailed when all others were
    run, and what opening a table raises.
    """
    stored = load(path) if path.exists() else None
    settings = _with(stored.settings if stored else DEFAULTS, asked)
    if not datasets:
        same_table = stored is not None and stored.settings.table == settings.table
        datasets = tuple(stored.datasets) if stored and same_table else datasets_of(settings.table)
    truths = {name: truth(settings.table, name, settings.budgets) for name in datasets}
    for name, known in truths.items():
        check_margin(settings, name, known)
    with crew(bounds.workers, bounds.time_limit) as workers:
        options, unmade = describe(workers, searchers or (stored.searchers if stored else SEARCHERS))
        measured, failed = _measure(workers, settings, tuple(truths), tuple(options), bounds)
    if failures := (*unmade, *failed):
        raise SearcherFailed(f"{'; '.join(failures)}; no baseline was stored")
    made = {"python": platform.python_version(), "numpy": np.__version__}
    baseline = assemble(made, settings, truths, options, measured)
    save(path, baseline)
    return baseline


def against(
    path: Path,
    asked: Mapping[str, object],
    searchers: Sequence[Searchable] = (),
    datasets: Sequence[str] = (),
    bounds: Bounds = Bounds(),
    *,
    speed: bool = True,
) -> Report:
    """Run the baseline's searchers, or some of them, with its settings, and compare.

    Of the settings only `seeds` and `first_seed` may be others: a first seed behind the baseline's last
    gives fresh seeds, and a two-sample test.

    Raises BadBaseline, BadSettings, UnpairedSeeds, and what opening a table raises.
    """
    baseline = load(path)
    settings = _with(baseline.settings, asked)
    for name in ("table", "budgets", "margin"):
        then, now = getattr(baseline.settings, name), getattr(settings, name)
        if then != now:
            raise BadSettings(
                f"baseline {path} was made with {name} {then}, not {now}; leave the option out, or make it again with --update"
            )
    check_seeds(baseline, settings.first_seed, settings.seeds)
    datasets = tuple(dict.fromkeys(datasets)) or tuple(baseline.datasets)
    _check_known(path, "dataset", datasets, baseline.datasets)
    for name in datasets:
        if truth(settings.table, name, settings.budgets).sha256 != baseline.datasets[name].sha256:
            raise BadBaseline(
                f"baseline {path} was made on another table: {settings.table} has other figures of {name} now; "
                "give that table, or make the baseline again with --update"
            )
    with crew(bounds.workers, bounds.time_limit) as workers:
        options, unmade = describe(workers, searchers or baseline.searchers)
        _check_known(path, "searcher", options, baseline.searchers)
        measured, failed = _measure(workers, settings, datasets, tuple(options), bounds)
    return compare(baseline, measured, options, (*unmade, *failed), speed=speed)


def seeds_for(baseline: Baseline) -> dict[str, int]:
    """Seeds on each side that fresh seeds need to judge each searcher, as its stored runs spread."""
    count = len(baseline.settings.budgets) * len(baseline.searchers) * len(baseline.datasets)
    return {
        name: max(
            seeds_needed(float(spread) * 2**0.5, margin, count)
            for entry in searcher.datasets.values()
            for spread, margin in zip(accuracies(entry.runs).std(axis=0, ddof=1), entry.margins, strict=True)
        )
        for name, searcher in baseline.searchers.items()
    }


def _with(settings: Settings, asked: Mapping[str, object]) -> Settings:
    try:
        return checked(Settings.model_validate(settings.model_dump() | dict(asked)))
    except ValidationError as error:
        why = "; ".join(f"{problem['loc'][0]}: {problem['msg']}" for problem in error.errors())
        raise BadSettings(f"these settings cannot be ({why})") from error


def _check_known(path: Path, kind: str, named: Iterable[str], known: Iterable[str]) -> None:
    for name in named:
        if name not in known:
            raise BadSettings(
                f"baseline {path} has no {kind} {name}, it has {', '.join(known)}; to add one, make it again with --update"
            )


def _measure(
    workers: Crew, settings: Settings, datasets: Sequence[str], searchers: Sequence[str], bounds: Bounds
) -> tuple[dict[tuple[str, str], Measured], tuple[str, ...]]:
    total = settings.seeds * len(searchers) * len(datasets)
    advance = bounds.advance
    return measure(
        workers,
        settings.table,
        datasets,
        searchers,
        settings.budgets,
        range(settings.first_seed, settings.first_seed + settings.seeds),
        lambda ended: advance and advance(ended, total),
    )
