"""A results folder: one campaign's settings, its reference, and one result file for each unit of work.

    DIR/campaign.json    Settings: what all units share
    DIR/reference.json   Reference: the optimum and the exact random-search curve, from the table
    DIR/*.parquet        one result file a unit (see `nasgauge.harness.records.steps`)
    DIR/measured         what was measured meanwhile, a file a unit
    DIR/packed           many units in one file (see `nasgauge.harness.records.packed`)
    DIR/trained          records of the trainings (see `nasgauge.harness.training`), where cells are trained

All of them carry a checksum of their content. The folder is the only bridge from searches to analysis: a report needs no table.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from operator import not_
from pathlib import Path
from typing import Final, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from nasgauge.data.atomic import replacing
from nasgauge.harness.records.recipes import Recipe
from nasgauge.harness.records.steps import Header
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
    def kind(self) -> tuple[str, str]:
        """The searcher and the dataset."""
        return self.searcher, self.dataset

    @property
    def seeds(self) -> range:
        """The seeds of its runs."""
        return range(self.first, self.last + 1)

    @property
    def runs(self) -> int:
        """How many runs it has."""
        return len(self.seeds)

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


def stranger(header: Header, settings: Settings) -> str:
    """In what a result file differs from the campaign of its folder, whatever the budget; empty if it is of that campaign."""
    if (header.table_sha256, header.curves_sha256) != (settings.table_sha256, settings.curves_sha256):
        curves = f", learning curves {header.curves_sha256[:12]}" if header.curves_sha256 else ""
        return f"table {header.table} {header.table_sha256[:12]}{curves}"
    if header.repeats != settings.repeats:
        return f"repeats {header.repeats}"
    training, _, rest = settings.metric.partition("/")
    run, _, epoch = training.partition("@")
    at = re.search(r", epoch (\d+)", header.metric)
    fits = f"/{run}/{rest}/" in header.metric and (at[1] if at else "") == epoch
    return "" if fits or not settings.metric else f"search metric {header.metric}"


def unit_of(header: Header) -> Unit:
    """The unit that a result file holds."""
    return Unit(header.searcher, header.dataset, *header.seeds)


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
