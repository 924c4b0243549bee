"""A results folder: one campaign's settings, its reference, and one result file for each unit of work.

    DIR/campaign.json    Settings: what all units share
    DIR/reference.json   Reference: the optimum and the exact random-search curve, from the table
    DIR/*.parquet        one result file a unit (see `nasgauge.harness.records.steps`)
    DIR/trained          records of the trainings (see `nasgauge.harness.training`), where cells are trained

The folder is the only bridge from searches to analysis: a report needs no table.
"""

import glob
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nasgauge.data.atomic import replacing
from nasgauge.harness.records.recipes import Recipe
from nasgauge.harness.records.steps import DamagedRecord, Record, read, read_header
from nasgauge.spaces.errors import NasgaugeError

FORMAT: Final = 1
SETTINGS_FILE: Final = "campaign.json"
REFERENCE_FILE: Final = "reference.json"
TRAINED: Final = "trained"
BLOCK: Final = 10
"""Seeds in one unit of work."""


class OtherCampaign(NasgaugeError, ValueError):
    """A folder that holds the results of another campaign, or of none."""


class TrainingSettings(BaseModel):
    """How a campaign that searches on real training trains."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: Recipe
    space: str = "nb201"
    """The search space, as text for `nasgauge.harness.search.specs.open_space`."""
    seed: int = 777
    images: str = ""
    """Folder of the dataset's published files; empty: the cache."""


class Settings(BaseModel):
    """What all units of a campaign share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    table: str
    table_sha256: str
    limits: str
    datasets: tuple[str, ...]
    seeds: int = Field(gt=0)
    """How many runs of each searcher: seeds `first_seed` to `first_seed + seeds - 1`."""
    first_seed: int = Field(default=0, ge=0)
    budget: str
    repeats: Literal["charge", "free"] = "charge"
    """Whether evaluating the same cell again counts towards the budget."""
    metric: str = ""
    """The search metric, as `nasgauge.harness.search.oracle.SearchMetric`; empty: the table's default."""
    search_on: str = ""
    """The dataset whose search metric searchers observe, on whatever dataset they are reported; empty: the same."""
    training: TrainingSettings | None = None
    """None: cells are looked up in `table`. Otherwise they are trained, and `table` is a name for that."""

    @property
    def seed_range(self) -> str:
        """The seeds in words: `seeds 0 to 99`."""
        return f"seeds {self.first_seed} to {self.first_seed + self.seeds - 1}"


class Curve(BaseModel):
    """Accuracy of the leader of an exact random search, in percent, after some numbers of queries."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    queries: tuple[int, ...]
    mean: tuple[float, ...]
    sd: tuple[float, ...]


class Reference(BaseModel):
    """What the table alone says of a dataset, whatever a search does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    optimum: float
    """The highest reported accuracy of any cell, in percent."""
    optimum_cell: str
    leader: float
    """Reported accuracy, in percent, of the cell that is best by the search metric: the limit of an exhaustive search."""
    random: Curve


@dataclass(frozen=True, order=True)
class Unit:
    """A searcher on a dataset, for seeds `first` to `last`."""

    searcher: str
    dataset: str
    first: int
    last: int

    @property
    def runs(self) -> int:
        """How many runs it has."""
        return self.last - self.first + 1

    @property
    def prefix(self) -> str:
        """Beginning of the names of all result files of its searcher and dataset."""
        searcher = "".join(c if c.isalnum() or c in "._=-" else "+" for c in self.searcher)
        return f"{searcher}@{self.dataset}@"

    @property
    def file(self) -> str:
        """Name of its result file."""
        return f"{self.prefix}{self.first:05d}-{self.last:05d}.parquet"


def plan(settings: Settings, searchers: Iterable[str]) -> list[Unit]:
    """The units of a campaign, in an order in which all searchers advance together."""
    searchers = tuple(searchers)
    last = settings.first_seed + settings.seeds - 1
    return [
        Unit(searcher, dataset, first, min(first + BLOCK - 1, last))
        for first in range(settings.first_seed, last + 1, BLOCK)
        for dataset in settings.datasets
        for searcher in searchers
    ]


def settings_of(folder: Path) -> Settings:
    """The settings of the campaign in `folder`.

    Raises OtherCampaign.
    """
    return _read_json(folder / SETTINGS_FILE, Settings)


def references_of(folder: Path) -> dict[str, Reference]:
    """The reference of each dataset.

    Raises OtherCampaign.
    """
    return _read_json(folder / REFERENCE_FILE, References).datasets


def missing(folder: Path, settings: Settings, searchers: Mapping[str, Mapping[str, object]]) -> list[Unit]:
    """The units of a campaign that have no result yet; what is there is checked.

    A unit of which some seeds were run before is cut to those that were not; runs of a smaller budget are to be
    run again. `searchers` are the options of each searcher as they are today: a file may be from before a
    default changed.

    Raises DamagedRecord, OtherCampaign.
    """
    done: dict[str, set[int]] = {}
    todo = []
    for unit in plan(settings, searchers):
        if unit.prefix not in done:
            done[unit.prefix] = _seeds_of(folder, unit, settings.budget, searchers[unit.searcher])
        left = [seed for seed in range(unit.first, unit.last + 1) if seed not in done[unit.prefix]]
        todo += [replace(unit, first=first, last=last) for first, last in stretches(left)]
    return todo


def shorter(folder: Path, settings: Settings, searchers: Iterable[str]) -> list[Path]:
    """Result files of another budget whose seeds all were run with that of `settings` since."""
    found = []
    for prefix in {unit.prefix for unit in plan(settings, searchers)}:
        paths = sorted(folder.glob(f"{glob.escape(prefix)}*.parquet"))
        headers = {path: read_header(path) for path in paths}
        seeds = {path: range(header.seeds[0], header.seeds[1] + 1) for path, header in headers.items()}
        short = [path for path, header in headers.items() if header.budget != settings.budget]
        done = {seed for path in paths if path not in short for seed in seeds[path]}
        found += [path for path in short if done.issuperset(seeds[path])]
    return found


def _seeds_of(folder: Path, unit: Unit, budget: str, options: Mapping[str, object]) -> set[int]:
    """Seeds that the result files of a searcher on a dataset hold, with this budget."""
    seeds: set[int] = set()
    for path in sorted(folder.glob(f"{glob.escape(unit.prefix)}*.parquet")):
        header = read(path).header
        if header.budget != budget:
            continue
        if header.settings != options:
            then, now = header.settings, options
            changed = sorted(name for name in {*then, *now} if then.get(name) != now.get(name))
            raise OtherCampaign(
                f"{path} was made by {unit.searcher} with "
                f"{', '.join(f'{name}={then.get(name)}' for name in changed)}, which today is "
                f"{', '.join(f'{name}={now.get(name)}' for name in changed)}; give another folder, or these options"
            )
        seeds.update(range(header.seeds[0], header.seeds[1] + 1))
    return seeds


def stretches(seeds: Sequence[int]) -> list[tuple[int, int]]:
    """Consecutive numbers as (first, last).

    >>> stretches([0, 1, 4])
    [(0, 1), (4, 4)]
    """
    breaks = [place for place in range(1, len(seeds)) if seeds[place] != seeds[place - 1] + 1]
    return [
        (seeds[start], seeds[end - 1]) for start, end in pairwise([0, *breaks, len(seeds)]) if end > start
    ]


def records_of(folder: Path) -> tuple[list[Record], list[str]]:
    """All result files of a folder's campaign in order of their names, and a line for each file left out.

    A damaged file is left out, and one of another campaign. Raises OtherCampaign.
    """
    left_out: list[str] = []
    return [record for _, record in each_record(folder, left_out)], left_out


def each_record(folder: Path, left_out: list[str]) -> Iterator[tuple[Path, Record]]:
    """As `records_of`, one file at a time; lines about files left out are appended to `left_out`."""
    settings = settings_of(folder)
    for path in sorted(folder.glob("*.parquet")):
        try:
            record = read(path)
        except DamagedRecord as error:
            left_out.append(str(error))
            continue
        header = record.header
        if header.table_sha256 != settings.table_sha256:
            left_out.append(
                f"result file {path} belongs to another campaign (table {header.table} "
                f"{header.table_sha256[:12]}) and is left out; move it elsewhere"
            )
            continue
        if header.budget != settings.budget:
            left_out.append(
                f"result file {path} has a budget of {header.budget} instead of {settings.budget} and is left out; "
                f"run {header.searcher} again with seeds {header.seeds[0]} to {header.seeds[1]}"
            )
            continue
        yield path, record


class References(BaseModel):
    """Contents of the file of references."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    datasets: dict[str, Reference]


_M = TypeVar("_M", bound=BaseModel)


def write_json(path: Path, model: BaseModel) -> None:
    """Write a model atomically."""
    with replacing(path) as file:
        file.write(model.model_dump_json(indent=1).encode() + b"\n")


def _read_json(path: Path, model: type[_M]) -> _M:
    try:
        return model.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise OtherCampaign(
            f"{path.parent} holds no campaign: it has no {path.name}; run nasgauge bench --out {path.parent}"
        ) from None
    except ValidationError as error:
        why = " ".join(str(error).split())
        raise OtherCampaign(f"{path} is damaged ({why}); give another folder, or mend the file") from error
