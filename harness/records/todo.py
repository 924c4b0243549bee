"""What a results folder lacks, and what of it is superseded."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType

from nasgauge.data.sealed import measured_file
from nasgauge.harness.records.folders import headers_of
from nasgauge.harness.records.packed import PACKED
from nasgauge.harness.records.results import OtherCampaign, Settings, Unit, plan, stranger, unit_of
from nasgauge.harness.records.steps import SOURCE


def missing(
    folder: Path,
    settings: Settings,
    searchers: Mapping[str, Mapping[str, object]],
    metrics: Mapping[str, str] = MappingProxyType({}),
) -> list[Unit]:
    """The units of a campaign that have no result yet; what is there is checked.

    A unit of which some seeds were run before is cut to those that were not; runs of a smaller budget are to be
    run again. `searchers` are the settings of each searcher as they are today: a file may be from before a
    default changed, or the source of a warm start. `metrics` are the search metrics of datasets, as headers begin with them.

    Raises DamagedRecord, OtherCampaign.
    """
    done: dict[tuple[str, str], set[int]] = {}
    for where, header in headers_of(folder):
        unit = unit_of(header)
        why = stranger(header, settings)
        if not why and not header.metric.startswith(metrics.get(unit.dataset, "")):
            why = f"search metric {header.metric}"
        if why:
            raise OtherCampaign(f"result file {where} belongs to another campaign ({why}); move it elsewhere")
        if header.budget != settings.budget or unit.searcher not in searchers:
            continue
        if how := _otherwise(header.settings, searchers[unit.searcher]):
            raise OtherCampaign(f"{where} was made by {unit.searcher} {how}")
        done.setdefault(unit.kind, set()).update(unit.seeds)
    todo = []
    for unit in plan(settings, searchers):
        made = done.get(unit.kind, ())
        left = [seed for seed in unit.seeds if seed not in made]
        todo += [replace(unit, first=first, last=last) for first, last in stretches(left)]
    return todo


def _otherwise(then: Mapping[str, object], now: Mapping[str, object]) -> str:
    """How a searcher ran then, and what to do, if its settings are others now; a file from before may not name its source."""
    changed = sorted(name for name in {*then, *now} if then.get(name) != now.get(name))
    if SOURCE in changed and SOURCE not in then:
        changed.remove(SOURCE)
    if changed == [SOURCE]:
        return (
            f"from runs that changed since (checksum {str(then[SOURCE])[:12]}, now {str(now.get(SOURCE))[:12]}); "
            "give another folder, or restore those runs"
        )
    was, today = (", ".join(f"{name}={side.get(name)}" for name in changed) for side in (then, now))
    return f"with {was}, which today is {today}; give another folder, or these options" if changed else ""


def superseded(folder: Path, budget: str) -> list[Path]:
    """Result files whose seeds all are in others of their searcher and dataset: of a smaller budget, run again since with
    `budget`; or in one other file, left by a process that was killed before it removed them.

    Raises DamagedRecord.
    """
    files: dict[tuple[str, ...], list[tuple[int, int, bool, Path]]] = {}
    for path, header in headers_of(folder):
        key = header.searcher, header.dataset, header.table_sha256, header.curves_sha256, header.budget
        (first, last), loose = header.seeds, path.parent.name != PACKED
        files.setdefault(key, []).append((first, -last, loose, path))
    old: list[Path] = []
    for (*who, own), found in files.items():
        again = {seed for first, last, *_ in files.get((*who, budget), ()) for seed in range(first, 1 - last)}
        reach = -1  # the last seed of those that begin before
        for first, last, loose, path in sorted(found):
            run_again = own != budget and again.issuperset(range(first, 1 - last))
            if loose and (run_again or -last <= reach):
                old.append(path)
            reach = max(reach, -last)
    return old


def remove(path: Path) -> None:
    """Remove a result file, and what was measured."""
    path.unlink(missing_ok=True)
    measured_file(path).unlink(missing_ok=True)


def stretches(seeds: Sequence[int]) -> list[tuple[int, int]]:
    """Consecutive numbers as (first, last).

    >>> stretches([0, 1, 4])
    [(0, 1), (4, 4)]
    """
    breaks = [place for place in range(1, len(seeds)) if seeds[place] != seeds[place - 1] + 1]
    return [
        (seeds[start], seeds[end - 1]) for start, end in pairwise([0, *breaks, len(seeds)]) if end > start
    ]
