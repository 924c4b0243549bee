"""From a baseline and a measurement to a report: what got worse, and the exit code that says so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from nasgauge.gate.baseline import Baseline
from nasgauge.gate.measure import Measured, accuracies
from nasgauge.gate.verdicts import Difference, Verdict, judge, paired, two_sample
from nasgauge.spaces.errors import NasgaugeError

SLOWER: Final = 1.5
"""A speed ratio may grow by this factor: more than noise and another Python do, less than twice as slow."""

SpeedWord = Literal["slower", "same", "faster"]


class UnpairedSeeds(NasgaugeError, ValueError):
    """Seeds of which some, but not all, are the baseline's: neither a paired nor a two-sample test."""


@dataclass(frozen=True)
class Comparison:
    """A searcher on a dataset after a budget, then and now."""

    searcher: str
    dataset: str
    budget: int
    then: float
    """Mean accuracy, percent."""
    now: float
    """Mean accuracy, percent."""
    seeds: int
    identical: int
    """Runs that asked for the same cells as then; 0 where the seeds are others."""
    verdict: Verdict


@dataclass(frozen=True)
class Speed:
    """Seconds for each step as a ratio to random search in the same run, then and now."""

    searcher: str
    dataset: str
    then: float
    now: float

    @property
    def word(self) -> SpeedWord:
        """Whether the ratio grew or shrank by more than `SLOWER`."""
        growth = self.now / self.then
        return "slower" if growth > SLOWER else "faster" if growth < 1 / SLOWER else "same"


@dataclass(frozen=True)
class Report:
    """All that one run of the gate found."""

    title: str
    comparisons: tuple[Comparison, ...]
    speeds: tuple[Speed, ...]
    """Empty where speed was not asked for."""
    notes: tuple[str, ...]
    failures: tuple[str, ...] = ()
    """A line for each searcher that has no result."""

    @property
    def code(self) -> int:
        """0: nothing is worse. 1: something is worse, slower or failed. 2: nothing is, but a comparison is undecided."""
        words = {comparison.verdict.word for comparison in self.comparisons}
        if self.failures or "worse" in words or any(speed.word == "slower" for speed in self.speeds):
            return 1
        return 2 if "cannot tell" in words else 0

    @property
    def summary(self) -> str:
        """One line that names what is wrong."""
        worse = [_name(c) for c in self.comparisons if c.verdict.word == "worse"]
        slower = [f"{s.searcher} on {s.dataset}" for s in self.speeds if s.word == "slower"]
        unclear = [c for c in self.comparisons if c.verdict.word == "cannot tell"]
        parts = [f"failed: {'; '.join(self.failures)}"] if self.failures else []
        parts += [f"worse: {', '.join(worse)}"] if worse else []
        parts += [f"slower: {', '.join(slower)}"] if slower else []
        if unclear:
            needed = max(c.verdict.seeds_needed for c in unclear)
            parts.append(
                f"cannot tell, too few seeds: {', '.join(map(_name, unclear))}; about {needed} seeds are needed"
            )
        return "; ".join(parts) if parts else f"not worse: all {len(self.comparisons)} comparisons"


def check_seeds(baseline: Baseline, first: int, count: int) -> None:
    """Raise UnpairedSeeds if some of `count` seeds from `first`, but not all, are the baseline's."""
    theirs = baseline.settings
    stored = range(theirs.first_seed, theirs.first_seed + theirs.seeds)
    ours = range(first, first + count)
    if 0 < len({*ours} & {*stored}) < count:
        raise UnpairedSeeds(
            f"of the seeds {first} to {ours[-1]} some are the baseline's ({stored[0]} to {stored[-1]}) and some are "
            "not; take all of them from the baseline, or none"
        )


def compare(
    baseline: Baseline,
    measured: Mapping[tuple[str, str], Measured],
    options: Mapping[str, Mapping[str, object]],
    failures: Sequence[str] = (),
    *,
    speed: bool = True,
) -> Report:
    """Hold a measurement against the baseline; Holm is over all of the measurement's comparisons.

    Runs of the baseline's seeds are compared in pairs, runs of other seeds as two samples; see `check_seeds`.
    """
    budgets = baseline.settings.budgets
    cases: list[tuple[str, str, int, int]] = []
    differences: list[Difference] = []
    margins: list[float] = []
    means: list[tuple[float, float]] = []
    for (searcher, dataset), found in measured.items():
        entry = baseline.searchers[searcher].datasets[dataset]
        stored = {run.seed: run for run in entry.runs}
        shared = all(run.seed in stored for run in found.runs)
        pairs = [stored[run.seed] for run in found.runs] if shared else list(entry.runs)
        then, now = accuracies(pairs), accuracies(found.runs)
        identical = sum(a.cells == b.cells for a, b in zip(pairs, found.runs, strict=True)) if shared else 0
        for place, budget in enumerate(budgets):
            test = paired if shared else two_sample
            differences.append(test(then[:, place], now[:, place]))
            margins.append(entry.margins[place])
            means.append((float(then[:, place].mean()), float(now[:, place].mean())))
            cases.append((searcher, dataset, budget, identical))
    comparisons = tuple(
        Comparison(
            searcher, dataset, budget, *mean, len(measured[searcher, dataset].runs), identical, verdict
        )
        for (searcher, dataset, budget, identical), mean, verdict in zip(
            cases, means, judge(differences, margins), strict=True
        )
    )
    speeds = tuple(
        Speed(searcher, dataset, baseline.searchers[searcher].datasets[dataset].speed, found.speed)
        for (searcher, dataset), found in measured.items()
    )
    return Report(
        title=f"Search quality on table {baseline.settings.table}",
        comparisons=comparisons,
        speeds=speeds if speed else (),
        notes=(*_changed(baseline, options), *_faster(speeds if speed else ())),
        failures=tuple(failures),
    )


def _name(comparison: Comparison) -> str:
    return f"{comparison.searcher} on {comparison.dataset} after {comparison.budget} queries"


def _changed(baseline: Baseline, options: Mapping[str, Mapping[str, object]]) -> list[str]:
    notes = []
    for searcher, now in options.items():
        then: Mapping[str, object] = baseline.searchers[searcher].options
        notes += [
            f"option {name} of {searcher} was {then.get(name, 'absent')}, is {now.get(name, 'absent')}"
            for name in sorted({*then, *now})
            if then.get(name) != now.get(name)
        ]
    return notes


def _faster(speeds: Sequence[Speed]) -> list[str]:
    names = [speed.searcher for speed in speeds if speed.word == "faster"]
    return [f"faster, or random search itself became slower: {', '.join(names)}"] if names else []
