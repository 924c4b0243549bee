"""Options that several commands have: one name, type and meaning each."""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, get_type_hints

import typer

from nasgauge.cli import console
from nasgauge.data import DEFAULT_TABLE
from nasgauge.harness.records.seeds import LAST_SEED, MOST_SEEDS

if TYPE_CHECKING:
    from nasgauge.harness.engines import Engine as AnyEngine
    from nasgauge.harness.search.campaign import Rules
    from nasgauge.harness.search.specs import Searchable

RESULTS: Final = Path("results")
IMAGES: Final = (
    "sample, cifar10, cifar100, ImageNet16-120, or a folder of the published files of one of the last three"
)
"""Help for the images that proxies see."""
"""Where results are written by default, each in a folder named after what is run."""

Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for what is written.", metavar="FOLDER")]
OutByName = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o", metavar="FOLDER", show_default="results/, named after what is run",
        help="Folder for what is written.",
    ),
]  # fmt: skip
Table = Annotated[
    str, typer.Option("--table", "-t", help="Name of a table (nasgauge tables), or a .npz file.")
]
Dataset = Annotated[
    str,
    typer.Option("--dataset", "-d", help="Datasets, by comma.", show_default="all that the table has"),
]
Searchers = Annotated[
    str,
    typer.Option(
        "--searchers",
        "-s",
        help="Names (nasgauge searchers) or module:Class, by comma, each with options as :option=value.",
    ),
]


def _seeds(count: int | None) -> int | None:
    if count is not None and count < 1:
        raise console.BadOption(f"--seeds {count} runs nothing; give a count of at least 1")
    if count is not None and count > MOST_SEEDS:
        raise console.BadOption(f"--seeds {count} is too many; give a count of at most {MOST_SEEDS}")
    return count


def _first_seed(seed: int | None) -> int | None:
    if seed is not None and not 0 <= seed <= LAST_SEED:
        raise console.BadOption(f"--first-seed {seed} is no seed; give a number from 0 to {LAST_SEED}")
    return seed


def _workers(count: int) -> int:
    if count == 0 or count < -1:
        raise console.BadOption(f"--workers {count} runs nothing; give a number, or -1 for one a core")
    from nasgauge.harness.engines.local import most_workers

    if count > (most := most_workers()):
        raise console.BadOption(
            f"--workers {count} is more than this machine takes; give at most {most}, or -1 for one a core"
        )
    return count


def seeds_option(help_text: str) -> Any:
    """The option --seeds of a command, of whose work each seed makes one."""
    return typer.Option("--seeds", "-n", help=help_text, callback=_seeds)


def seed_option(help_text: str) -> Any:
    """The option --seed of a command that draws at random."""
    return typer.Option("--seed", help=help_text, min=0, max=LAST_SEED)


def workers_option(help_text: str) -> Any:
    """The option --workers of a command."""
    return typer.Option("--workers", "-j", help=help_text, callback=_workers)


SEEDS: Final = seeds_option("Number of runs of each searcher, a seed each.")
FIRST_SEED: Final = typer.Option("--first-seed", help="The first of the seeds.", callback=_first_seed)
Seeds = Annotated[int, SEEDS]
FirstSeed = Annotated[int, FIRST_SEED]
Workers = Annotated[int, workers_option("Processes; -1: one for each core.")]
Engine = Annotated[
    str,
    typer.Option(
        help="Where work runs: local, ray, dask or slurm, with options by comma: ray,gpus=1 or slurm,partition=gpu,minutes=60."
    ),
]
Address = Annotated[
    str, typer.Option(help="Of a Ray or Dask cluster.", show_default="a cluster on this machine")
]


Storage = Annotated[
    str,
    typer.Option(
        help="URL where the files are kept, s3://bucket/path, gs://… or a path; then machines need not share a disk.",
        show_default="the folder alone", metavar="URL",
    ),
]  # fmt: skip


def engine_text(engine: str, address: str) -> str:
    """The two options --engine and --address as one text."""
    return f"{engine},address={address}" if address else engine


def engine_of(engine: str, address: str, workers: int) -> "AnyEngine":
    """The engine of --engine and --address, or so many processes of this machine.

    Raises InvalidEngine, MissingExtra.
    """
    from nasgauge.harness.engines import Local, parse_engine

    text = engine_text(engine, address)
    return Local(workers) if text == "local" else parse_engine(text)


class Repeats(StrEnum):
    """What a repeated query costs."""

    charge = "charge"
    free = "free"


class ProtocolName(StrEnum):
    """Search metric and budget together."""

    default = "nb201-200"
    paper = "nb201-12"


@dataclass(frozen=True, kw_only=True)
class Run:
    """What `bench` and `search` have in common."""

    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FOLDER", show_default="results/, named after what is run",
            help="Results folder. Run again to resume; seeds, datasets, searchers and budget may be added.",
        ),
    ] = None  # fmt: skip
    table: Table = DEFAULT_TABLE
    dataset: Dataset = ""
    seeds: Seeds
    first_seed: FirstSeed = 0
    budget: Annotated[
        str,
        typer.Option(
            "--budget", "-b", show_default="that of the protocol",
            help="Of each run: 200 (queries), '1200 epochs' or 12000s.",
        ),
    ] = ""  # fmt: skip
    protocol: Annotated[
        ProtocolName,
        typer.Option(
            help="Metric and budget together: nb201-12 is 12-epoch validation accuracy and 12,000 s, as in the paper."
        ),
    ] = ProtocolName.default
    metric: Annotated[
        str,
        typer.Option(
            help="Search metric as fidelity/split/seeds: 200/valid/mean, 200/valid/777, 12/valid/mean.",
            show_default="that of the protocol",
        ),
    ] = ""
    search_on: Annotated[
        str,
        typer.Option(
            help="Search on this dataset alone and report the cells on each --dataset, as the papers' tables do.",
            show_default="each dataset itself", metavar="DATASET",
        ),
    ] = ""  # fmt: skip
    objective: Annotated[
        str,
        typer.Option(
            help="Beside accuracy, for searchers that take it (nsga2) and for the report: flops, params, memory, "
            "latency@DEVICE, energy@DEVICE; several joined with +.",
        ),
    ] = ""  # fmt: skip
    constraint: Annotated[
        str,
        typer.Option(help="What every cell must keep, as latency@edgegpu<=5 (ms); several joined with +."),
    ] = ""
    repeats: Annotated[
        Repeats,
        typer.Option(help="Cost of a query of a cell, or of a structural duplicate, evaluated before."),
    ] = Repeats.charge
    workers: Workers = -1
    engine: Engine = "local"
    address: Address = ""
    storage: Storage = ""
    step_limit: Annotated[
        float,
        typer.Option(help="Seconds in which a searcher must make its next step; 0 for no limit.", min=0),
    ] = 120.0

    def folder(self, what: str) -> Path:
        """The results folder: --out, or one named after `what` and each option that may not change in a folder."""
        from nasgauge.spaces.checksums import part_of_name

        if self.out is not None:
            return self.out
        parts = (
            what,
            Path(self.table).stem if self.table != DEFAULT_TABLE else "",
            self.protocol.value if self.protocol is not ProtocolName.default else "",
            self.metric,
            f"search-on-{self.search_on}" if self.search_on else "",
            self.budget,
            self.objective,
            self.constraint,
            self.repeats.value if self.repeats is not Repeats.charge else "",
            self.storage,
        )
        text = "-".join(part.strip("/") for part in parts if part)
        return RESULTS / part_of_name(text, kept="._=", filler="-", usual=":/@+, ").strip("-")

    @property
    def chosen_seeds(self) -> range:
        """The seeds."""
        return range(self.first_seed, self.first_seed + self.seeds)

    def rules(self) -> "Rules":
        """The protocol, with what was given beside it.

        Raises InvalidBudget.
        """
        from nasgauge.harness.search.campaign import Rules
        from nasgauge.harness.search.runner import Budget
        from nasgauge.protocols import PROTOCOLS

        preset = PROTOCOLS[self.protocol.value]
        # a table knows its own default metric
        by_default = "" if self.protocol is ProtocolName.default else str(preset.metric)
        return Rules(
            budget=Budget.parse(self.budget) if self.budget else preset.budget,
            metric=self.metric or by_default,
            search_on=self.search_on,
            repeats=self.repeats.value,
        )

    def aimed(self, searchers: str) -> "list[Searchable]":
        """The searchers, by comma, with the constraint, and with the objective those that take one.

        Raises UnknownObjective, InvalidConstraint, UnknownSearcher, InvalidOption.
        """
        from nasgauge.pareto import aimed

        return aimed(searchers.split(","), self.objective, self.constraint)


def takes_run(**defaults: object) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of `Run`, with these defaults, in place of its parameter `run`."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(Run, include_extras=True)
        shared = [
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=defaults.get(field.name, field.default),
                annotation=hints[field.name],
            )
            for field in fields(Run)
        ]
        assert all(parameter.default is not MISSING for parameter in shared)
        own = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for parameter in inspect.signature(function, eval_str=True).parameters.values()
            if parameter.name != "run"
        ]

        def command(**given: Any) -> None:
            run = Run(**{parameter.name: given.pop(parameter.name) for parameter in shared})
            function(run=run, **given)

        command.__name__, command.__doc__ = function.__name__, function.__doc__
        command.__module__ = function.__module__
        command.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in [*own, *shared]}
        return command

    return decorate
