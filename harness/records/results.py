"""A results folder: one campaign's settings, its reference, and one result file for each unit of work.

    DIR/campaign.json    Settings: what all units share
    DIR/reference.json   Reference: the optimum and the exact random-search curve, from the table
    DIR/*.parquet        one result file a unit (see `nasgauge.harness.records.steps`)
    DIR/measured         what was measured meanwhile, a file a unit
    DIR/trained          records of the trainings (see `nasgauge.harness.training`), where cells are trained

All of them carry a checksum of their content.

The folder is the only bridge from searches to analysis: a report needs no table.
"""

import glob
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from nasgauge.data.atomic import PARTIAL, replacing
from nasgauge.harness.records.checksums import opened, sealed
from nasgauge.harness.records.recipes import Recipe
from nasgauge.harness.records.sealed import MEASURED
from nasgauge.harness.records.steps import DamagedRecord, Header, Record, read
from nasgauge.spaces.errors import NasgaugeError

FORMAT: Final = 1
SETTINGS_FILE: Final = "campaign.json"
REFERENCE_FILE: Final = "reference.json"
TRAINED: Final = "trained"
LOCK: Final = ".lock"
"""Held by the process that writes into a folder (see `nasgauge.harness.records.lock`)."""
BLOCK: Final = 10
"""Seeds in one unit of work."""


_COMPARED: Final = ("format", "table", "table_sha256", "budget", "metric", "repeats", "training")
"""Settings in which two campaigns must agree for their results to stand in one folder."""


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
    training: TrainingSettings | None = None
    """None: cells are looked up in `table`. Otherwise they are trained, and `table` is a name for that."""

    @property
    def seed_range(self) -> str:
        """The seeds in words: `seeds 0 to 99`."""
        return f"seeds {self.first_seed} to {self.first_seed + self.seeds - 1}"


class Curve(BaseModel):
    """Accuracy of the incumbent of an exact random search, in percent, after some numbers of queries."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    queries: tuple[int, ...] = Field(min_length=1)
    mean: tuple[float, ...]
    sd: tuple[float, ...]

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


def claimed(folder: Path, settings: Settings) -> frozenset[str] | None:
    """The datasets whose references a folder has; None for a folder that no campaign has begun in.

    Raises OtherCampaign if the folder's results cannot be compared with those of `settings`, or if it holds
    files but no campaign.
    """
    if folder.exists() and not folder.is_dir():
        raise OtherCampaign(f"{folder} is a file; give a folder")
    if (folder / SETTINGS_FILE).exists():
        found = settings_of(folder)
        for name in _COMPARED:
            if getattr(found, name) != getattr(settings, name):
                raise OtherCampaign(
                    f"{folder} holds a campaign with {name.replace('_', ' ')} {_short(getattr(found, name))}, not "
                    f"{_short(getattr(settings, name))}; give another folder, or the same {name.replace('_', ' ')}"
                )
        return frozenset(_known(folder))
    if folder.exists() and any(not _is_ours(path) for path in folder.iterdir()):
        raise OtherCampaign(f"{folder} holds files but no {SETTINGS_FILE}; give a new folder")
    return None


def claim(folder: Path, settings: Settings, references: Mapping[str, Reference]) -> None:
    """Make `folder` this campaign's, or add seeds and datasets to the campaign that it holds.

    Partial files that killed processes left behind are removed, so hold the folder's lock. Raises OtherCampaign.
    """
    known = claimed(folder, settings)
    if known is None:
        _write_json(folder / REFERENCE_FILE, _References(datasets=dict(references)))
        _write_json(folder / SETTINGS_FILE, settings)
    else:
        if set(references) - known:
            both = dict(references) | _known(folder)
            _write_json(folder / REFERENCE_FILE, _References(datasets=both))
        found = settings_of(folder)
        grown = _grown(found, settings)
        if grown != found:
            _write_json(folder / SETTINGS_FILE, grown)
    for place in (folder, folder / MEASURED):
        for partial in place.glob(f"{PARTIAL}*"):
            partial.unlink(missing_ok=True)


def _grown(found: Settings, wanted: Settings) -> Settings:
    """Settings that cover the seeds and datasets of both."""
    first = min(found.first_seed, wanted.first_seed)
    end = max(found.first_seed + found.seeds, wanted.first_seed + wanted.seeds)
    datasets = tuple(dict.fromkeys([*found.datasets, *wanted.datasets]))
    return found.model_copy(update={"first_seed": first, "seeds": end - first, "datasets": datasets})


def settings_of(folder: Path) -> Settings:
    """The settings of the campaign in `folder`.

    Raises OtherCampaign.
    """
    return _read_json(folder / SETTINGS_FILE, Settings)


def references_of(folder: Path) -> dict[str, Reference]:
    """The reference of each dataset.

    Raises OtherCampaign.
    """
    return _read_json(folder / REFERENCE_FILE, _References).datasets


def _known(folder: Path) -> dict[str, Reference]:
    """The references that there are: none, if their file is lost, so that they are made anew."""
    return references_of(folder) if (folder / REFERENCE_FILE).exists() else {}


def missing(folder: Path, settings: Settings, searchers: Mapping[str, Mapping[str, object]]) -> list[Unit]:
    """The units of a campaign that have no result yet; what is there is checked.

    A unit of which some seeds were run before is cut to those that were not. `searchers` are the options of
    each searcher as they are today: a file may be from before a default changed.

    Raises DamagedRecord, OtherCampaign.
    """
    done: dict[str, set[int]] = {}
    todo = []
    for unit in plan(settings, searchers):
        if unit.prefix not in done:
            done[unit.prefix] = _seeds_of(folder, unit, searchers[unit.searcher])
        left = [seed for seed in range(unit.first, unit.last + 1) if seed not in done[unit.prefix]]
        todo += [replace(unit, first=first, last=last) for first, last in _stretches(left)]
    return todo


def _seeds_of(folder: Path, unit: Unit, options: Mapping[str, object]) -> set[int]:
    """Seeds that the result files of a searcher on a dataset hold."""
    seeds: set[int] = set()
    for path in sorted(folder.glob(f"{glob.escape(unit.prefix)}*.parquet")):
        header = read_unit(path).header
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


def _stretches(seeds: Sequence[int]) -> list[tuple[int, int]]:
    """Consecutive numbers as (first, last).

    >>> _stretches([0, 1, 4])
    [(0, 1), (4, 4)]
    """
    breaks = [place for place in range(1, len(seeds)) if seeds[place] != seeds[place - 1] + 1]
    return [
        (seeds[start], seeds[end - 1]) for start, end in pairwise([0, *breaks, len(seeds)]) if end > start
    ]


def read_unit(path: Path) -> Record:
    """Read the result file of a unit, and check that it stands under that unit's name and holds its seeds.

    Raises DamagedRecord.
    """

    def check(header: Header) -> None:
        own = Unit(header.searcher, header.dataset, *header.seeds).file
        if path.name != own:
            raise DamagedRecord(f"result file {path} is a copy of {own}; remove it, or give it that name")

    record = read(path, check)
    (first, last), seeds = record.header.seeds, record.steps.seed
    if seeds.size and not first <= seeds.min() <= seeds.max() <= last:
        raise DamagedRecord(
            f"result file {path} holds other seeds than {first} to {last}; remove it and run the campaign again"
        )
    return record


def records_of(folder: Path) -> tuple[list[Record], list[str]]:
    """All result files of a folder's campaign in order of their names, and a line for each file left out.

    A damaged file is left out, and one of another campaign. Raises OtherCampaign.
    """
    records: list[Record] = []
    left_out: list[str] = []
    for record in read_records(folder, settings_of(folder)):
        left_out.append(record) if isinstance(record, str) else records.append(record)
    return records, left_out


def read_records(folder: Path, settings: Settings) -> Iterator[Record | str]:
    """Each result file of a folder in order of their names, or a line that says why it cannot be used."""
    for path in sorted(folder.glob("*.parquet")):
        try:
            record = read_unit(path)
        except DamagedRecord as error:
            yield str(error)
            continue
        header = record.header
        if header.table_sha256 != settings.table_sha256 or header.budget != settings.budget:
            yield (
                f"result file {path} belongs to another campaign (table {header.table} "
                f"{header.table_sha256[:12]}, budget {header.budget}) and is left out; move it elsewhere"
            )
            continue
        yield record


def _short(value: object) -> str:
    text = str(value) or "of the table"
    return text if len(text) <= 40 else f"{text[:12]}…"


def _is_ours(path: Path) -> bool:
    """Whether a process that holds the folder, or was killed while it claimed it, may have made this."""
    return path.name == REFERENCE_FILE or path.name.startswith((PARTIAL, LOCK))


class _References(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    datasets: dict[str, Reference]


_M = TypeVar("_M", bound=BaseModel)


def _write_json(path: Path, model: BaseModel) -> None:
    with replacing(path) as file:
        file.write(json.dumps(sealed(model.model_dump(mode="json")), indent=1).encode() + b"\n")


def _read_json(path: Path, model: type[_M]) -> _M:
    try:
        return model.model_validate(opened(path.read_bytes()))
    except (FileNotFoundError, NotADirectoryError):
        raise OtherCampaign(
            f"{path.parent} holds no campaign: it has no {path.name}; run nasgauge bench --out {path.parent}"
        ) from None
    except ValueError as error:
        why = " ".join(str(error).split())
        raise OtherCampaign(f"{path} is damaged ({why}); {_REMEDIES[path.name]}") from error


_REMEDIES: Final = {
    SETTINGS_FILE: "restore it, or give another folder",
    REFERENCE_FILE: "remove it and run the campaign again, which makes it anew",
}
