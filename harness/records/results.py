"""A results folder: one campaign's settings, its reference, and one result file for each unit of work.

    DIR/campaign.json    Settings: what all units share
    DIR/reference.json   Reference: the optimum and the exact random-search curve, from the table
    DIR/*.parquet        one result file a unit (see `nasgauge.harness.records.steps`)
    DIR/trained          records of the trainings (see `nasgauge.harness.training`), where cells are trained

The folder is the only bridge from searches to analysis: a report needs no table.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nasgauge.data.atomic import PARTIAL, replacing
from nasgauge.harness.records.recipes import Recipe
from nasgauge.harness.records.steps import DamagedRecord, Record, read

FORMAT: Final = 1
SETTINGS_FILE: Final = "campaign.json"
REFERENCE_FILE: Final = "reference.json"
TRAINED: Final = "trained"
BLOCK: Final = 10
"""Seeds in one unit of work."""


class OtherCampaign(ValueError):
    """A folder that holds the results of another campaign, or of none."""


class TrainingSettings(BaseModel):
    """How a campaign that searches on real training trains."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: Recipe
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
    """Seeds 0 to `seeds` - 1."""
    budget: str
    repeats: Literal["charge", "free"] = "charge"
    signal: str = ""
    """What searchers are told, as `nasgauge.harness.search.oracle.SearchMetric`; empty: the table's default view."""
    training: TrainingSettings | None = None
    """None: cells are looked up in `table`. Otherwise they are trained, and `table` is a name for that."""


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
    """The reported accuracy of the cell with the highest signal: where an endless search would end."""
    random: Curve


@dataclass(frozen=True, order=True)
class Unit:
    """A searcher on a dataset, for seeds `first` to `last`."""

    searcher: str
    dataset: str
    first: int
    last: int

    @property
    def file(self) -> str:
        """Name of its result file."""
        searcher = "".join(c if c.isalnum() or c in "._=-" else "+" for c in self.searcher)
        return f"{searcher}@{self.dataset}@{self.first:05d}-{self.last:05d}.parquet"


def plan(settings: Settings, searchers: Iterable[str]) -> list[Unit]:
    """The units of a campaign, so ordered that all searchers advance together."""
    searchers = tuple(searchers)
    return [
        Unit(searcher, dataset, first, min(first + BLOCK, settings.seeds) - 1)
        for first in range(0, settings.seeds, BLOCK)
        for dataset in settings.datasets
        for searcher in searchers
    ]


def claim(folder: Path, settings: Settings, references: Mapping[str, Reference]) -> None:
    """Make `folder` this campaign's, or check that it is; remove what killed processes left half-written.

    Raises OtherCampaign.
    """
    if folder.exists() and not folder.is_dir():
        raise OtherCampaign(f"{folder} is a file; give a folder")
    if (folder / SETTINGS_FILE).exists():
        found = settings_of(folder)
        differing = [
            f"{name} {getattr(found, name)!r}, not {getattr(settings, name)!r}"
            for name in Settings.model_fields
            if getattr(found, name) != getattr(settings, name)
        ]
        if differing:
            raise OtherCampaign(
                f"{folder} holds another campaign, with {'; '.join(differing)}; "
                "give another folder, or the same settings"
            )
    elif folder.exists() and any(not _is_ours(path) for path in folder.iterdir()):
        raise OtherCampaign(f"{folder} holds files but no {SETTINGS_FILE}; give a new folder")
    else:
        _write_json(folder / REFERENCE_FILE, _References(datasets=dict(references)))
        _write_json(folder / SETTINGS_FILE, settings)
    for partial in folder.glob(f"{PARTIAL}*"):
        partial.unlink(missing_ok=True)


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


def missing(
    folder: Path, units: Iterable[Unit], options: Mapping[str, Mapping[str, object]] = MappingProxyType({})
) -> list[Unit]:
    """The units that have no result file yet; a file that is there is checked.

    `options` are all those of each searcher, as they are today: a file may be from before a default changed.

    Raises DamagedRecord, OtherCampaign.
    """
    todo = []
    for unit in units:
        path = folder / unit.file
        if not path.exists():
            todo.append(unit)
            continue
        then = read(path).header.settings
        now = options.get(unit.searcher, then)
        if then != now:
            changed = sorted(name for name in {*then, *now} if then.get(name) != now.get(name))
            raise OtherCampaign(
                f"{path} was made by {unit.searcher} with "
                f"{', '.join(f'{name}={then.get(name)}' for name in changed)}, which today is "
                f"{', '.join(f'{name}={now.get(name)}' for name in changed)}; give another folder, or these options"
            )
    return todo


def records_of(folder: Path) -> tuple[list[Record], list[str]]:
    """All result files of a folder's campaign in order of their names, and a line for each file left out.

    A damaged file is left out, and one of another campaign. Raises OtherCampaign.
    """
    settings = settings_of(folder)
    records: list[Record] = []
    left_out: list[str] = []
    for path in sorted(folder.glob("*.parquet")):
        try:
            record = read(path)
        except DamagedRecord as error:
            left_out.append(str(error))
            continue
        header = record.header
        if header.table_sha256 != settings.table_sha256 or header.budget != settings.budget:
            left_out.append(
                f"result file {path} belongs to another campaign (table {header.table} "
                f"{header.table_sha256[:12]}, budget {header.budget}) and is left out; move it elsewhere"
            )
            continue
        records.append(record)
    return records, left_out


def _is_ours(path: Path) -> bool:
    """Whether a process that was killed while it claimed the folder may have left this."""
    return path.name == REFERENCE_FILE or path.name.startswith(PARTIAL)


class _References(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    datasets: dict[str, Reference]


_M = TypeVar("_M", bound=BaseModel)


def _write_json(path: Path, model: BaseModel) -> None:
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
