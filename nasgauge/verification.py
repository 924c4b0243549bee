"""Check a results folder: every checksum, and that units which are run again give the same."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from nasgauge.data.sources import open_curves, open_table
from nasgauge.data.storage import Store
from nasgauge.harness.engines import Engine, Local, Lost
from nasgauge.harness.records import trainings
from nasgauge.harness.records.folders import each_record, read_unit
from nasgauge.harness.records.results import TRAINED, Settings, Unit, references_of, settings_of, unit_of
from nasgauge.harness.records.steps import SOURCE
from nasgauge.harness.records.trainings import DamagedTraining
from nasgauge.harness.search.failures import Failure
from nasgauge.harness.search.oracle import SearchMetric, Table
from nasgauge.harness.search.reference import reference
from nasgauge.harness.search.runner import Budget
from nasgauge.harness.search.specs import Option, Spec, parts_of
from nasgauge.harness.search.units import Place, run_unit
from nasgauge.spaces.checksums import unaltered
from nasgauge.spaces.errors import NasgaugeError


@dataclass(kw_only=True)
class Verdict:
    """What a check found."""

    files: int = 0
    """Units, training records, checkpoints, weights and learning curves that were read and are whole."""
    runs: int = 0
    rerun: int = 0
    """Units that were run again."""
    problems: list[str] = field(default_factory=list)
    """A line for each file that is damaged, or for what came out otherwise; empty if all is well."""
    notes: list[str] = field(default_factory=list)
    """What was not checked."""


@dataclass(frozen=True)
class _Stored:
    """A unit, and what its file says."""

    unit: Unit
    digest: str
    options: dict[str, Option]


def verify(
    folder: Path,
    *,
    rerun: int = 0,
    seed: int = 0,
    trusted: Collection[str] = (),
    engine: Engine | None = None,
) -> Verdict:
    """Read every file of a results folder, run `rerun` randomly chosen units again, and compare.

    Searchers that no installed package declares (`module:Class`) are imported, and run again, only if they are
    `trusted`. With `rerun` the references are computed again too. Cells are not trained again.

    Raises OtherCampaign if the folder holds no campaign, or damaged settings.
    """
    settings, verdict = settings_of(folder), Verdict()
    stored = list(_read_all(folder, verdict))
    for path in sorted((folder / TRAINED).glob("*.parquet")):
        verdict.files += 1
        try:
            if lost := trainings.read(path).lost:
                verdict.problems.append(lost)
        except DamagedTraining as error:
            verdict.problems.append(str(error))
    for path in sorted((folder / TRAINED).glob("*.safetensors")):
        verdict.files += 1
        try:
            unaltered(path.read_bytes())
        except ValueError as error:
            verdict.problems.append(f"{path} is damaged ({error}); remove it to train this cell again")
    try:
        references = references_of(folder)
    except NasgaugeError as error:
        verdict.problems.append(str(error))
        references = {}
    if settings.curves_sha256:
        _check_curves(folder, settings, verdict, verdict.problems if rerun else verdict.notes)
    if not rerun:
        return verdict
    if settings.training is not None:
        verdict.notes.append("cells are not trained again")
        return verdict
    try:
        for name in references:
            if reference(_oracle(folder, settings, name), Budget.parse(settings.budget)) != references[name]:
                verdict.problems.append(f"the reference of {name} is not that of table {settings.table}")
    except NasgaugeError as error:
        verdict.problems.append(str(error))
        return verdict
    known = [
        one for one in stored if ":" not in parts_of(one.unit.searcher)[0] or one.unit.searcher in trusted
    ]
    if left := sorted({one.unit.searcher for one in stored} - {one.unit.searcher for one in known}):
        verdict.notes.append(
            f"not run again, because no package declares them: {', '.join(left)}; name them to do so"
        )
    chosen = np.random.default_rng(seed).permutation(len(known))[:rerun]
    _run_again(folder, settings, [known[place] for place in chosen], verdict, engine or Local(1))
    return verdict


def _check_curves(folder: Path, settings: Settings, verdict: Verdict, lines: list[str]) -> None:
    """Read the curves that the campaign used; a line says if they are not there."""
    try:
        curves = open_curves(settings.table_in(folder.resolve()), whole=True)
    except NasgaugeError as error:
        verdict.problems.append(str(error))
        return
    if curves is None or curves.sha256 != settings.curves_sha256:
        what = "are not on this machine" if curves is None else "were replaced on this machine"
        lines.append(f"the learning curves {settings.curves_sha256[:12]} of {settings.table} {what}")
        return
    verdict.files += 1


def _read_all(folder: Path, verdict: Verdict) -> Iterator[_Stored]:
    seen: dict[tuple[str, str], set[int]] = {}
    for _, record in each_record(folder, verdict.problems):
        header = record.header
        unit = unit_of(header)
        seeds = seen.setdefault(unit.kind, set())
        if again := seeds & set(unit.seeds):
            verdict.problems.append(f"result file {unit.file} repeats {len(again)} seeds of another file")
        seeds |= set(unit.seeds)
        if record.lost and record.lost not in verdict.problems:
            verdict.problems.append(record.lost)
        verdict.files += 1
        verdict.runs += unit.runs
        yield _Stored(unit, header.digest, header.settings)


def _run_again(
    folder: Path, settings: Settings, chosen: list[_Stored], verdict: Verdict, engine: Engine
) -> None:
    settings = settings.model_copy(update={"table": settings.table_in(folder.resolve())})
    with TemporaryDirectory() as temporary:
        place = Place(store=Store(Path(temporary)), provenance={})

        def again(one: _Stored) -> str:
            """What is otherwise; empty if nothing is."""
            try:
                spec = replace(Spec.parse(one.unit.searcher), source=str(one.options.get(SOURCE, "")))
                if spec.settings() != one.options:
                    return f"{spec} has other options today than when it was run"
                result = run_unit(place, settings, one.unit, spec)
                if isinstance(result, Failure):
                    return result.reason
                found = read_unit(place.store.folder / one.unit.file).header.digest
            except NasgaugeError as error:
                return str(error)
            return "" if found == one.digest else "it gives other results than its file holds"

        for one, problem in engine.run(again, chosen):
            verdict.rerun += 1
            problem = problem.reason if isinstance(problem, Lost) else problem
            if problem:
                verdict.problems.append(f"{one.unit.file} run again: {problem}")


def _oracle(folder: Path, settings: Settings, dataset: str) -> Table:
    name = settings.table_in(folder.resolve())
    metric = SearchMetric.parse(settings.metric) if settings.metric else None
    return Table(
        open_table(name), dataset, metric=metric, curves=open_curves(name), search_on=settings.search_on
    )
