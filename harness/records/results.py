"""The results folder of a campaign: settings, reference values and one result file per unit of work.

    DIR/campaign.json    `Settings`, shared by all units
    DIR/reference.json   `Reference` of each dataset: the optimum and the exact random-search curve
    DIR/*.parquet        one result file per unit (see `nasgauge.harness.records.steps`)
    DIR/trained          training records, if cells are trained (see `nasgauge.harness.training`)

The analysis reads only this folder; it does not need the table.
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
"""Version of the folder's format."""
SETTINGS_FILE: Final = "campaign.json"
REFERENCE_FILE: Final = "reference.json"
TRAINED: Final = "trained"
BLOCK: Final = 10
"""Number of seeds in a unit of work."""


class OtherCampaign(ValueError):
    """Raised for a folder with the results of another campaign, or without a campaign."""


class TrainingSettings(BaseModel):
    """Settings of the training of cells, for campaigns that train them.

    >>> from nasgauge.harness.records.recipes import RECIPES
    >>> TrainingSettings(recipe=RECIPES["tiny"]).seed
    777
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: Recipe
    seed: int = 777
    images: str = ""
    """Folder of the published files of the dataset; empty for the cache."""


class Settings(BaseModel):
    """Settings shared by all units of a campaign.

    >>> settings = Settings(table="toy", table_sha256="0" * 64, limits="", datasets=("toy",), seeds=25, budget="50 queries")
    >>> [unit.file for unit in plan(settings, ["random"])]
    ['random@toy@00000-00009.parquet', 'random@toy@00010-00019.parquet', 'random@toy@00020-00024.parquet']
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    table: str
    table_sha256: str
    limits: str
    """Known limitations of the table."""
    datasets: tuple[str, ...]
    seeds: int = Field(gt=0)
    """Seeds 0 to `seeds` - 1."""
    budget: str
    """Budget of a run with its unit, as in `200 queries`."""
    repeats: Literal["charge", "free"] = "charge"
    """Whether evaluating the same cell again counts towards the budget."""
    signal: str = ""
    """The search metric, as text of `nasgauge.harness.search.oracle.Signal`; empty for the default of the table."""
    training: TrainingSettings | None = None
    """None if cells are looked up in `table`. Otherwise cells are trained, and `table` is only a label."""


class Curve(BaseModel):
    """Mean and standard deviation of the incumbent's accuracy in exact random search, in percent.

    >>> Curve(queries=(1, 10), mean=(83.9, 91.2), sd=(13.0, 1.4)).mean[1]
    91.2
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    queries: tuple[int, ...]
    """Numbers of queries at which the curve is given."""
    mean: tuple[float, ...]
    sd: tuple[float, ...]


class Reference(BaseModel):
    """Reference values of a dataset that depend only on the table.

    >>> curve = Curve(queries=(1,), mean=(83.9,), sd=(13.0,))
    >>> Reference(optimum=94.37, optimum_cell="…", leader=94.2, random=curve).leader
    94.2
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    optimum: float
    """The highest reported accuracy of all cells, in percent."""
    optimum_cell: str
    leader: float
    """Reported accuracy, in percent, of the cell that is best by the search metric: the limit of an exhaustive search."""
    random: Curve


@dataclass(frozen=True, order=True)
class Unit:
    """A unit of work: runs of one searcher on one dataset with seeds `first` to `last`, inclusive.

    >>> Unit("evolution:population=50", "cifar10", 0, 9).file
    'evolution+population=50@cifar10@00000-00009.parquet'
    """

    searcher: str
    dataset: str
    first: int
    last: int

    @property
    def file(self) -> str:
        """Name of the result file of the unit."""
        searcher = "".join(c if c.isalnum() or c in "._=-" else "+" for c in self.searcher)
        return f"{searcher}@{self.dataset}@{self.first:05d}-{self.last:05d}.parquet"


def plan(settings: Settings, searchers: Iterable[str]) -> list[Unit]:
    """The units of a campaign, ordered by seeds first, so that all searchers progress at the same rate.

    >>> settings = Settings(table="toy", table_sha256="", limits="", datasets=("toy",), seeds=12, budget="5 queries")
    >>> [(unit.searcher, unit.first, unit.last) for unit in plan(settings, ["random", "local"])]
    [('random', 0, 9), ('local', 0, 9), ('random', 10, 11), ('local', 10, 11)]
    """
    searchers = tuple(searchers)
    return [
        Unit(searcher, dataset, first, min(first + BLOCK, settings.seeds) - 1)
        for first in range(0, settings.seeds, BLOCK)
        for dataset in settings.datasets
        for searcher in searchers
    ]


def claim(folder: Path, settings: Settings, references: Mapping[str, Reference]) -> None:
    """Create the folder of a campaign, or check that it belongs to a campaign with the same settings.

    Also deletes partial files left by killed processes.

    Raises OtherCampaign if the settings differ, naming each difference, or if the folder holds other files.

    >>> import tempfile
    >>> settings = Settings(table="toy", table_sha256="", limits="", datasets=("toy",), seeds=12, budget="5 queries")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     claim(Path(folder), settings, {})
    ...     settings_of(Path(folder)) == settings
    True
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
    """Read the settings of the campaign in `folder`.

    Raises OtherCampaign.

    >>> settings_of(Path("nowhere"))
    Traceback (most recent call last):
    ...
    nasgauge.harness.records.results.OtherCampaign: nowhere holds no campaign: it has no campaign.json; \
run nasgauge bench --out nowhere
    """
    return _read_json(folder / SETTINGS_FILE, Settings)


def references_of(folder: Path) -> dict[str, Reference]:
    """Read the reference values of each dataset of the campaign in `folder`.

    Raises OtherCampaign.

    >>> import tempfile
    >>> settings = Settings(table="toy", table_sha256="", limits="", datasets=("toy",), seeds=12, budget="5 queries")
    >>> curve = Curve(queries=(1,), mean=(83.9,), sd=(13.0,))
    >>> reference = Reference(optimum=94.37, optimum_cell="…", leader=94.2, random=curve)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     claim(Path(folder), settings, {"toy": reference})
    ...     references_of(Path(folder))["toy"].optimum
    94.37
    """
    return _read_json(folder / REFERENCE_FILE, _References).datasets


def missing(
    folder: Path, units: Iterable[Unit], options: Mapping[str, Mapping[str, object]] = MappingProxyType({})
) -> list[Unit]:
    """The units without a result file.

    Existing files are validated. `options` maps each searcher to all its current options; they may differ from those in
    an older file if a default value has changed since.

    Raises DamagedRecord for a damaged file, OtherCampaign for a file made with other options.

    >>> unit = Unit("random", "toy", 0, 9)
    >>> missing(Path("no such folder"), [unit]) == [unit]
    True
    """
    todo = []
    for unit in units:
        path = folder / unit.file
        if not path.exists():
            todo.append(unit)
            continue
        stored = read(path).header.settings
        current = options.get(unit.searcher, stored)
        if stored != current:
            changed = sorted(name for name in {*stored, *current} if stored.get(name) != current.get(name))
            raise OtherCampaign(
                f"{path} was made by {unit.searcher} with "
                f"{', '.join(f'{name}={stored.get(name)}' for name in changed)}; the current options are "
                f"{', '.join(f'{name}={current.get(name)}' for name in changed)}; give another folder, or the stored options"
            )
    return todo


def records_of(folder: Path) -> tuple[list[Record], list[str]]:
    """Read all result files of a campaign, sorted by name, and a warning for each file that is skipped.

    Damaged files and files of another campaign are skipped.

    Raises OtherCampaign if the folder holds no campaign.

    >>> import tempfile
    >>> settings = Settings(table="toy", table_sha256="", limits="", datasets=("toy",), seeds=12, budget="5 queries")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     claim(Path(folder), settings, {})
    ...     _ = (Path(folder) / "broken.parquet").write_bytes(b"")
    ...     records, warnings = records_of(Path(folder))
    >>> len(records), len(warnings)
    (0, 1)
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
                f"{header.table_sha256[:12]}, budget {header.budget}) and is skipped; move it elsewhere"
            )
            continue
        records.append(record)
    return records, left_out


def _is_ours(path: Path) -> bool:
    """Whether the file may be left from a process that was killed in `claim`."""
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
        raise OtherCampaign(f"{path} is damaged ({why}); give another folder, or repair the file") from error
