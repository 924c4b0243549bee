"""Many searches at once: settings that are checked before anything is written, and units spread over processes.

A unit that has its result file is finished, so running a campaign again runs only what is missing. A folder
grows: seeds, datasets and searchers may be added to it later.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from nasgauge.data.sealed import measured_file
from nasgauge.data.sources import open_curves, open_table
from nasgauge.data.storage import Store
from nasgauge.data.tables import AccuracyTable
from nasgauge.harness.engines import Engine, Local
from nasgauge.harness.records.claims import claimed, claiming
from nasgauge.harness.records.lock import locked
from nasgauge.harness.records.provenance import provenance
from nasgauge.harness.records.recipes import Recipe
from nasgauge.harness.records.results import (
    OWN_TABLE,
    REFERENCE_FILE,
    SETTINGS_FILE,
    Settings,
    TrainingSettings,
    Unit,
    plan,
    settings_of,
)
from nasgauge.harness.records.seeds import seed_range
from nasgauge.harness.records.todo import missing, remove, superseded
from nasgauge.harness.search.failures import TIME_LIMIT
from nasgauge.harness.search.fidelities import Ladder
from nasgauge.harness.search.history import check_source
from nasgauge.harness.search.notes import about_table, beyond, opens_by_name
from nasgauge.harness.search.oracle import SearchMetric, Table
from nasgauge.harness.search.processes import installed_modules_first
from nasgauge.harness.search.reference import reference
from nasgauge.harness.search.runner import Budget, Repeats, check_least, cost, left_for_one
from nasgauge.harness.search.running import Job, all_that_finish
from nasgauge.harness.search.schedule import Kind
from nasgauge.harness.search.specs import Searchable, Spec, open_space
from nasgauge.harness.search.units import Place, generators
from nasgauge.spaces.errors import NasgaugeError
from nasgauge.spaces.nb201 import SPACES

if TYPE_CHECKING:
    from nasgauge.harness.training import Machine


class InvalidCampaign(NasgaugeError, ValueError):
    """Settings of a campaign that run nothing."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How long searches run, and what a query costs."""

    budget: Budget = Budget(200)  # noqa: RUF009 - frozen
    repeats: Repeats = "charge"
    """Whether a query of a cell, or of a structural duplicate, that was evaluated before costs its price."""
    metric: str = ""
    """The search metric, as `SearchMetric`; empty for the table's default."""
    search_on: str = ""
    """The dataset whose search metric is observed, on whatever dataset a run is reported; empty for the same."""


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """Searchers, what they search, and the folder of the results. Nothing is written before `run`."""

    folder: Path
    storage: str = ""  # URL where the files are kept, as for `Store`
    settings: Settings
    specs: tuple[Spec, ...]
    notes: tuple[str, ...] = ()
    """What a user should know of the table or the training, a line each."""
    oracles: Mapping[str, Table]
    """By dataset; none where cells are trained."""
    table: AccuracyTable | None = None
    """A table that is kept in the folder because it cannot be opened by name."""
    machine: "Machine | None" = None

    @classmethod
    def on_table(
        cls,
        folder: Path,
        searchers: Iterable[Searchable],
        table: str | Path | AccuracyTable,
        *,
        datasets: Sequence[str] = (),
        seeds: int | range = 100,
        rules: Rules = Rules(),
        storage: str = "",
    ) -> "Campaign":
        """A campaign whose cells are looked up in a table, on all of its datasets by default.

        Raises InvalidCampaign, InvalidSeeds, UnknownSearcher, InvalidOption, InvalidBudget, InvalidMetric, LeakyQuery,
        NotInTable, and what `open_table` raises.
        """
        specs, chosen = _specs(searchers, folder), seed_range(seeds)
        opened = open_table(table)
        own = isinstance(table, AccuracyTable) and not opens_by_name(table)
        name = OWN_TABLE if own else opened.name if isinstance(table, AccuracyTable) else str(table)
        metric = SearchMetric.parse(rules.metric) if rules.metric else None
        choosers = [spec for spec in specs if spec.asks_epochs]
        used = bool(choosers) or (metric is not None and metric.fidelity.at is not None)
        curves = None if own else open_curves(name, whole=used)
        oracles = {
            dataset: Table(opened, dataset, metric=metric, curves=curves, search_on=rules.search_on)
            for dataset in dict.fromkeys(datasets or opened.views)
        }
        for oracle in oracles.values():
            one = oracle.for_run(generators(0)[1])
            price = cost(one.evaluate(oracle.space[0]), rules.budget.clock)
            left_for_one(one, rules.budget, epochs=0.0 if choosers else price)  # those may train for fewer
        for dataset in oracles if choosers else ():
            ladder = Ladder(opened, dataset, metric=metric, curves=curves, search_on=rules.search_on)
            _check_least(choosers, rules, oracles[dataset].space, (dataset,), ladder.fidelities)
        _check_least(specs, rules, SPACES[opened.space](), oracles)
        settings = Settings(
            table=name,
            table_sha256=opened.sha256,
            curves_sha256=curves.sha256 if curves else "",
            limits=opened.limits,
            datasets=tuple(oracles),
            first_seed=chosen.start,
            seeds=len(chosen),
            budget=str(rules.budget),
            metric=str(metric or ""),
            search_on=rules.search_on,
            repeats=rules.repeats,
        )
        return cls(
            folder=folder,
            storage=storage,
            settings=settings,
            specs=specs,
            notes=(*about_table(opened, curves, oracles), *beyond(rules.budget, oracles)),
            oracles=oracles,
            table=opened if own else None,
        )

    @classmethod
    def on_training(
        cls,
        folder: Path,
        searchers: Iterable[Searchable],
        recipe: Recipe,
        *,
        space: str = "nb201",
        dataset: str = "cifar10-valid",
        images: str = "",
        seeds: int | range = 1,
        rules: Rules = Rules(),
        machine: "Machine",
        storage: str = "",
    ) -> "Campaign":
        """A campaign whose cells, of any space, are trained by `recipe`, each once.

        Raises InvalidCampaign, InvalidSeeds, UnknownSearcher, UnknownSpace, InvalidOption, InvalidBudget, NothingToSearchOn,
        ImagesUnavailable.
        """
        specs, chosen = _specs(searchers, folder), seed_range(seeds)
        if many := [str(spec) for spec in specs if spec.asks_epochs]:
            raise InvalidCampaign(
                f"{', '.join(many)} asks for several training lengths, a recipe has one; look cells up in a table"
            )
        from nasgauge.harness.training.trainer import open_trainer

        if rules.metric:
            raise InvalidCampaign(
                "a search metric chooses a table's column; cells are trained here: give a recipe"
            )
        if rules.search_on:
            raise InvalidCampaign(
                "another dataset to search on needs a table; cells are trained here: give that dataset alone"
            )
        opened = open_space(space)
        training = TrainingSettings(recipe=recipe, space=space, images=images)
        here = machine.resolved()
        trainer = open_trainer(Store(folder), dataset, training, here, json.dumps(provenance()))
        left_for_one(trainer, rules.budget)
        _check_least(specs, rules, opened, (dataset,))
        settings = Settings(
            table=f"trained by {recipe.name}" + ("" if space == "nb201" else f", space {space}"),
            table_sha256=trainer.sha256,
            limits=f"cells are trained here, with seed {training.seed} by {recipe}",
            datasets=(dataset,),
            first_seed=chosen.start,
            seeds=len(chosen),
            budget=str(rules.budget),
            repeats=rules.repeats,
            training=training,
        )
        notes = [f"{settings.limits}, on {here.device} in precision {here.precision}"]
        if trainer.warning:
            notes.append(f"note: {trainer.warning}")
        return cls(
            folder=folder,
            storage=storage,
            settings=settings,
            specs=specs,
            notes=tuple(notes),
            oracles={},
            machine=here,
        )

    @cached_property
    def store(self) -> Store:
        """The folder, and where its files are kept; raises StorageFailed, MissingExtra."""
        return Store.of(self.folder.absolute(), self.storage)

    @cached_property
    def runs(self) -> int:
        """How many runs the campaign has."""
        return sum(unit.runs for unit in plan(self.settings, map(str, self.specs)))

    def missing(self) -> list[Unit]:
        """The units that have no result yet, in the order in which they are run; what is kept elsewhere is copied here.

        Raises OtherCampaign if the folder holds another campaign, DamagedRecord, StorageFailed.
        """
        self.store.bring()
        if claimed(self.folder, self.settings) is None:
            return plan(self.settings, map(str, self.specs))
        searchers = {str(spec): spec.settings() for spec in self.specs}
        metrics = {name: oracle.metric for name, oracle in self.oracles.items()}
        return missing(self.folder, self.settings, searchers, metrics)

    def again(self, todo: Sequence[Unit]) -> str:
        """What is said of runs that were made with a smaller budget; empty if there are none."""
        before = settings_of(self.folder).budget if (self.folder / SETTINGS_FILE).exists() else ""
        if before in ("", self.settings.budget) or not todo:
            return ""
        kept = "; cells that were trained are not trained again" if self.settings.training else ""
        return (
            f"the budget grows from {before} to {self.settings.budget}: runs are made again from their seeds, and "
            f"begin with the same queries{kept}"
        )

    def run(
        self, *, workers: int = -1, engine: Engine | None = None, time_limit: float = TIME_LIMIT
    ) -> Iterator[Unit]:
        """Run what is missing in `workers` processes (-1 for one a core), or by `engine`; yields units as they finish.

        What is missing is found once the folder is locked, and files that others have superseded are removed. Where
        nothing was finished before an error, the folder is left as it was.

        A searcher that raises, exits, ends its process or makes no step in `time_limit` seconds has no result; all others
        are run, and then UnitsFailed is raised. With `workers=1` searchers run in this process, and can end it.

        Raises UnitsFailed, FolderInUse, OtherCampaign, DamagedRecord, DamagedTable, StorageFailed.
        """
        engine = engine or Local(workers, memory=self.settings.training is None)
        self.store.check(shared=not (isinstance(engine, Local) and engine.workers == 1))
        with locked(self.folder), self.store.held() as still_held:
            for unit in self._run(engine, time_limit):
                yield unit
                still_held()

    def _run(self, engine: Engine, time_limit: float) -> Iterator[Unit]:
        todo = self.missing()
        self._tidy()
        known = claimed(self.folder, self.settings)
        fresh = {name: oracle for name, oracle in self.oracles.items() if known is None or name not in known}
        budget = Budget.parse(self.settings.budget)
        references = {name: reference(oracle, budget) for name, oracle in fresh.items()}
        versions = provenance("numpy", "pyarrow", "joblib")
        place = Place(store=self.store, provenance=versions, machine=self.machine, time_limit=time_limit)
        own = [place.store.folder / name for name in (OWN_TABLE, REFERENCE_FILE, SETTINGS_FILE)]
        try:
            with claiming(self.folder, self.settings, references), installed_modules_first():
                if self.table is not None:
                    self.table.save(self.folder / OWN_TABLE)
                place.store.mark()
                place.store.keep(*own)
                try:
                    yield from all_that_finish(engine, place, self.settings, self._jobs(todo))
                finally:
                    place.store.bring()
        except BaseException:
            place.store.keep(*own)  # where the claim was taken back, there too
            raise
        if todo:
            self._tidy()

    def _tidy(self) -> None:
        for path in superseded(self.store.folder, self.settings.budget):
            remove(path)
            self.store.keep(path, measured_file(path))

    def _jobs(self, todo: Iterable[Unit]) -> Iterator[tuple[Kind, Job]]:
        specs = {str(spec): spec for spec in self.specs}
        return ((Kind(unit.searcher, unit.dataset), Job(unit, specs[unit.searcher])) for unit in todo)


def _specs(searchers: Iterable[Searchable], folder: Path) -> tuple[Spec, ...]:
    specs = {str(spec): spec for spec in map(Spec.of, searchers)}
    for spec in specs.values():
        check_source(str(dict(spec.options).get("warm", "")), folder)
    if not specs:
        raise InvalidCampaign("no searcher was given; name at least one, such as random")
    return tuple(specs.values())


def _check_least(
    specs: Iterable[Spec],
    rules: Rules,
    space: object,
    datasets: Iterable[str],
    fidelities: Sequence[int] = (),
) -> None:
    """Make each searcher of the space, for each dataset if that matters, and see whether the budget is enough for it."""
    searched = [rules.search_on] if rules.search_on else [*datasets]
    for spec in specs:
        for dataset in searched if spec.aims else searched[:1]:
            made = spec.make(space, generators(0)[0], fidelities, dataset=dataset)
            check_least(made, rules.budget, str(spec))
