"""A results folder: one campaign's settings, its reference, and one result file for each unit of work.

    DIR/campaign.json    Settings: what all units share
    DIR/reference.json   Reference: the optimum and the exact random-search curve, from the table
    DIR/*.parquet        one result file a unit (see `nasgauge.harness.records.steps`)
    DIR/measured         what was measured meanwhile, a file a unit
    DIR/packed           many units in one file (see `nasgauge.harness.records.packed`)
    DIR/trained          records of the trainings (see `nasgauge.harness.training`), where cells are trained

All of them carry a checksum of their content. The folder is the only bridge from searches to analysis: a report needs no table.
"""

import heapq
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from operator import not_
from pathlib import Path
from typing import Final, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from nasgauge.data.atomic import replacing
from nasgauge.harness.records.packed import packed_file, packed_headers, unpacked
from nasgauge.harness.records.recipes import Recipe
from nasgauge.harness.records.steps import DamagedRecord, Header, Record, read, read_header
from nasgauge.spaces.checksums import opened, part_of_name, sealed
from nasgauge.spaces.errors import NasgaugeError, reason

FORMAT: Final = 1
SETTINGS_FILE: Final = "campaign.json"
REFERENCE_FILE: Final = "reference.json"
TRAINED: Final = "trained"
OWN_TABLE: Final = "table.npz"
"""File of a campaign's folder that keeps a table which cannot be opened by name."""
LOCK: Final = ".lock"
"""Held by the process that writes into a folder (see `nasgauge.harness.records.lock`)."""
BLOCK: Final = 10
"""Seeds in one unit of work."""


class OtherCampaign(NasgaugeError, ValueError):
    """A folder that holds the results of another campaign, or of none."""


class TrainingSettings(BaseModel):
    """How a campaign that searches on real training trains."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: Recipe
    """How each cell is trained."""
    space: str = "nb201"
    """The search space, as text for `nasgauge.harness.search.specs.open_space`."""
    seed: int = 777
    """Seed of the trainings."""
    images: str = ""
    """Folder of the dataset's published files; empty: the cache."""


class Settings(BaseModel):
    """What all units of a campaign share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    """Version of the format."""
    table: str
    """Name of the table, or of what is trained on."""
    table_sha256: str
    """Checksum of its figures."""
    curves_sha256: str = Field(default="", exclude_if=not_)
    """Checksum of the learning curves beside the table; left out where there are none, or where their file has none."""
    limits: str
    """What the table lacks, in words."""
    datasets: tuple[str, ...]
    """Datasets that runs are reported on."""
    seeds: int = Field(gt=0)
    """How many runs of each searcher: seeds `first_seed` to `first_seed + seeds - 1`."""
    first_seed: int = Field(default=0, ge=0)
    """The first of the seeds."""
    budget: str
    """What a run may spend, as text: `200 queries`, `12000 s`, `40000 epochs`."""
    repeats: Literal["charge", "free"] = "charge"
    """Whether evaluating the same cell again counts towards the budget."""
    metric: str = ""
    """The search metric, as `nasgauge.harness.search.oracle.SearchMetric`; empty: the table's default."""
    search_on: str = ""
    """The dataset whose search metric searchers observe, on whatever dataset they are reported; empty: the same."""
    training: TrainingSettings | None = None
    """None: cells are looked up in `table`. Otherwise they are trained, and `table` is a name for that."""

    def table_in(self, folder: Path) -> str:
        """The table's name, or the path of one that is kept in the folder of these settings."""
        return str(folder / OWN_TABLE) if self.table == OWN_TABLE else self.table

    @property
    def seed_range(self) -> str:
        """The seeds in words: `seeds 0 to 99`."""
        return f"seeds {self.first_seed} to {self.first_seed + self.seeds - 1}"


class Curve(BaseModel):
    """Accuracy of the incumbent of an exact random search, in percent, after some numbers of queries."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    queries: tuple[int, ...] = Field(min_length=1)
    """Numbers of queries, ascending."""
    mean: tuple[float, ...]
    """Expected accuracy after each."""
    sd: tuple[float, ...]
    """Its standard deviation over runs."""

    @model_validator(mode="after")
    def _equally_long(self) -> Self:
        if not len(self.queries) == len(self.mean) == len(self.sd):
            raise ValueError("queries, mean and sd are not equally long")
        return self


class Reference(BaseModel):
    """What the table alone says of a dataset, whatever a search does."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    optimum: float
    """The highest reported accuracy of any cell, in percent."""
    optimum_cell: str
    """Text of that cell."""
    leader: float
    """Reported accuracy, in percent, of the cell with the highest search metric of any evaluation, of a single seed where the
    metric is: the limit of an unlimited search."""
    random: Curve
    """Random search, computed from the table."""


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
    def file(self) -> str:
        """Name of its result file, which no other searcher or dataset has."""
        who = (
            part_of_name(text, kept="._=-", filler="+", usual=":") for text in (self.searcher, self.dataset)
        )
        return f"{'@'.join(who)}@{self.first:05d}-{self.last:05d}.parquet"


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


def known_references(folder: Path) -> dict[str, Reference]:
    """The references that there are: none, if their file is lost, so that they are made anew.

    Raises OtherCampaign.
    """
    return references_of(folder) if (folder / REFERENCE_FILE).exists() else {}


def headers_of(folder: Path) -> Iterator[tuple[Path, Header]]:
    """The header of each unit that has a result, and the file in which it is; what is there is checked.

    Raises DamagedRecord.
    """
    if (pack := packed_file(folder)).exists():
        yield from ((pack, header) for header in packed_headers(pack))
    for path in sorted(folder.glob("*.parquet")):
        yield path, read_header(path, partial(_check_name, path))


def records_of(folder: Path) -> tuple[list[Record], list[str]]:
    """All result files of a folder's campaign in order of their names, and a line for each file left out.

    A damaged file is left out, and one of another campaign. Raises OtherCampaign.
    """
    left_out: list[str] = []
    return [record for _, record in each_record(folder, left_out)], left_out


def each_record(folder: Path, left_out: list[str]) -> Iterator[tuple[Path, Record]]:
    """As `records_of`, one file at a time; lines about files left out are appended to `left_out`."""
    settings = settings_of(folder)
    for path, record in every_record(folder, left_out):
        header = record.header
        if why := stranger(header, settings):
            left_out.append(
                f"result file {path} belongs to another campaign ({why}) and is left out; move it elsewhere"
            )
        elif header.budget != settings.budget:
            left_out.append(
                f"result file {path} has a budget of {header.budget} instead of {settings.budget} and is left out; "
                f"run {header.searcher} again with seeds {header.seeds[0]} to {header.seeds[1]}"
            )
        else:
            yield path, record


def stranger(header: Header, settings: Settings) -> str:
    """In what a result file differs from the campaign of its folder, whatever the budget; empty if it is of that campaign."""
    if (header.table_sha256, header.curves_sha256) != (settings.table_sha256, settings.curves_sha256):
        curves = f", learning curves {header.curves_sha256[:12]}" if header.curves_sha256 else ""
        return f"table {header.table} {header.table_sha256[:12]}{curves}"
    if header.repeats != settings.repeats:
        return f"repeats {header.repeats}"
    training, _, rest = settings.metric.partition("/")
    run, _, epoch = training.partition("@")
    fits = f"/{run}/{rest}/" in header.metric and (not epoch or f", epoch {epoch}" in header.metric)
    return "" if fits or not settings.metric else f"search metric {header.metric}"


def every_record(folder: Path, left_out: list[str]) -> Iterator[tuple[Path, Record]]:
    """The records of all units in order of their names, whether they are packed or not, of any table and budget.

    Lines about damaged files, which are left out, are appended to `left_out`.
    """

    def packed() -> Iterator[tuple[Path, Record]]:
        if (pack := packed_file(folder)).exists():
            try:
                yield from ((pack, record) for record in unpacked(pack))
            except DamagedRecord as error:
                left_out.append(str(error))

    def files() -> Iterator[tuple[Path, Record]]:
        for path in sorted(folder.glob("*.parquet")):
            try:
                yield path, read_unit(path)
            except DamagedRecord as error:
                left_out.append(str(error))

    return heapq.merge(packed(), files(), key=lambda found: unit_of(found[1].header).file)


def read_unit(path: Path) -> Record:
    """Read the result file of a unit, and check that it stands under that unit's name and holds its seeds.

    Raises DamagedRecord.
    """
    record = read(path, partial(_check_name, path))
    (first, last), seeds = record.header.seeds, record.steps.seed
    if seeds.size and not first <= seeds.min() <= seeds.max() <= last:
        raise DamagedRecord(
            f"result file {path} holds other seeds than {first} to {last}; remove it and run the campaign again"
        )
    return record


def unit_of(header: Header) -> Unit:
    """The unit that a result file holds."""
    return Unit(header.searcher, header.dataset, *header.seeds)


def _check_name(path: Path, header: Header) -> None:
    own = unit_of(header).file
    if path.name != own:
        raise DamagedRecord(f"result file {path} is a copy of {own}; remove it, or give it that name")


class References(BaseModel):
    """Contents of the file of references."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    datasets: dict[str, Reference]


_M = TypeVar("_M", bound=BaseModel)


def write_json(path: Path, model: BaseModel) -> None:
    """Write a model atomically, with a checksum."""
    with replacing(path) as file:
        file.write(json.dumps(sealed(model.model_dump(mode="json")), indent=1).encode() + b"\n")


def _read_json(path: Path, model: type[_M]) -> _M:
    try:
        return model.model_validate(opened(path.read_bytes(), FORMAT if model is Settings else None))
    except (FileNotFoundError, NotADirectoryError):
        raise OtherCampaign(
            f"{path.parent} holds no campaign: it has no {path.name}; run nasgauge bench --out {path.parent}"
        ) from None
    except ValueError as error:
        raise OtherCampaign(f"{path} is damaged ({reason(error)}); {_REMEDIES[path.name]}") from error


_REMEDIES: Final = {
    SETTINGS_FILE: "restore it, or give another folder",
    REFERENCE_FILE: "remove it and run the campaign again, which makes it anew",
}
