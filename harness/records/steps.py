"""Result files: the evaluations of search runs, step by step, with the information needed to reproduce them.

    DIR/NAME.parquet             a row for each step, and a header
    DIR/measured/NAME.parquet    what was measured meanwhile: times, host, command line, versions

A file holds one unit of work (runs of one searcher on one dataset for a block of seeds). The first one has the same
bytes for the same seeds on any machine with the same packages; its header carries a digest of all that it says. The
second one can be lost without harm to the first.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import not_
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nasgauge.data.sealed import (
    Damaged,
    Sealed,
    Texts,
    quick_header,
    read_sealed,
    with_measured,
    write_sealed,
)
from nasgauge.spaces.errors import ELSEWHERE, NasgaugeError
from nasgauge.spaces.fidelities import At

C = TypeVar("C")

FORMAT: Final = 2
COLUMNS: Final = (
    "seed", "query", "validation", "test", "epochs", "seconds", "charged", "overhead", "answer",
)  # fmt: skip
"""Of `Steps`, without the cells and `fidelity`, which files have only of searchers that choose it."""
SOURCE: Final = "warm_sha256"
"""Among the settings of a searcher, the digest of the earlier runs that its warm start is from."""


class DamagedRecord(NasgaugeError, ValueError):
    """Raised for a file that is not a result file or was altered after it was written."""


class InvalidAnswer(NasgaugeError, ValueError):
    """Raised for a recommended cell that the run has not evaluated."""


class Evaluation(NamedTuple):
    """The result of evaluating a cell. A searcher observes only `validation`.

    >>> Evaluation(validation=91.2, test=93.9, epochs=12.0, seconds=340.0).test
    93.9
    """

    validation: float
    """The search metric, in percent."""
    test: float
    """The reported accuracy, in percent."""
    epochs: float
    """Training epochs of the evaluation; NaN if the table does not state them."""
    seconds: float
    """Simulated GPU seconds of the query, and seconds of the search itself where the searcher charges them
    (`search_seconds`); NaN where the table has no times."""


class Step(NamedTuple, Generic[C]):
    """One query of a run.

    >>> Step("a cell", Evaluation(91.2, 93.9, 12.0, 340.0), charged=True, overhead=0.01).answer is None
    True
    """

    cell: C
    """What was asked for: a cell, or `At` with one."""
    evaluation: Evaluation
    charged: bool
    """Whether the query counts towards the budget; False for a repeated query with `repeats="free"`."""
    overhead: float
    """Wall time of the searcher since the previous step, in seconds, and its `search_seconds`; not in the digest."""
    answer: C | None = None
    """The cell that the searcher recommends after this step; None for the incumbent by the search metric."""


class Header(BaseModel):
    """Information to reproduce a result file."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    ABOUT: ClassVar = frozenset({"argv", "commit", "versions", "host", "elapsed"})
    """Fields that stand in the file of what was measured."""

    format: int = FORMAT
    """Version of the format."""
    argv: tuple[str, ...] = ()
    """The command line; empty, as the next four, if the file of what was measured is lost."""
    commit: str = ""
    """Commit of the program, where it runs from a checkout."""
    versions: dict[str, str] = {}
    """Versions of Python and of the packages that matter."""
    host: str = ""
    """Name of the machine."""
    elapsed: float = 0.0
    """Seconds of the whole unit."""
    table: str
    """Name of the table, or of what was trained on."""
    table_sha256: str
    """Checksum of its figures."""
    curves_sha256: str = Field(default="", exclude_if=not_)
    """Checksum of the learning curves beside the table, as in the campaign's settings."""
    limits: str
    """What the table lacks, in words."""
    dataset: str
    """The dataset that the runs are reported on."""
    metric: str
    """The table column used as search metric."""
    report: str
    """The table column used as reported accuracy."""
    warning: str
    """What must be said of its figures; mostly empty."""
    seconds: Literal["table", "modelled", "measured", "none"] = "none"
    """Source of the seconds: the table, a cost model, measured while training here, or none."""
    searcher: str
    """Name and options that differ from the defaults, as in `evolution:population=50`."""
    settings: dict[str, int | float | str | bool]
    """All options of the searcher; `warm_sha256` is a digest of the earlier runs that its warm start is from."""
    budget: str
    """What a run may spend, as text: `200 queries`."""
    repeats: str
    """Whether evaluating the same cell again counts towards the budget: `charge` or `free`."""
    seeds: tuple[int, int]
    """First and last seed. Run s uses the two children of `SeedSequence(s).spawn(2)`, for searcher and oracle."""
    digest: str = ""
    """SHA-256 of the steps and of the other fields, without what was measured."""

    @property
    def timed(self) -> tuple[str, ...]:
        """The columns of steps that were measured."""
        return ("overhead", "seconds") if self.seconds == "measured" else ("overhead",)


@dataclass(frozen=True)
class Steps:
    """The steps of several runs as arrays of shape (steps,), run after run. See `gather` for an example."""

    seed: NDArray[np.int32]
    query: NDArray[np.int32]
    """Index of the query within its run, counted from 1."""
    cell: NDArray[np.int32]
    """Index into `cells`."""
    cells: tuple[str, ...]
    validation: NDArray[np.float64]
    test: NDArray[np.float64]
    epochs: NDArray[np.float64]
    seconds: NDArray[np.float64]
    charged: NDArray[np.bool_]
    overhead: NDArray[np.float64]
    answer: NDArray[np.int32]
    """Index into `cells` of the recommended cell after the step; -1 for the incumbent by the search metric."""
    fidelity: NDArray[np.int32]
    """Epochs after which `validation` was measured, where the searcher chooses them; 0 where it does not."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a file of these steps has, without the cells."""
        return (*COLUMNS, "fidelity") if self.fidelity.any() else COLUMNS


@dataclass(frozen=True)
class Record:
    """The contents of a result file."""

    header: Header
    steps: Steps
    lost: str = ""
    """Why the file of what was measured was not used; empty if it was, or if there is none."""


def gather(runs: Iterable[tuple[int, Sequence[Step[C]]]]) -> Steps:
    """Collect the steps of several runs, given as pairs (seed, steps), into arrays.

    >>> step = Step("a cell", Evaluation(91.2, 93.9, 12.0, 340.0), charged=True, overhead=0.01)
    >>> steps = gather([(0, [step, step]), (1, [step])])
    >>> steps.seed.tolist(), steps.query.tolist(), steps.cells
    ([0, 0, 1], [1, 2, 1], ('a cell',))
    """
    places: dict[str, int] = {}
    rows: list[Step[C]] = []
    seeds: list[int] = []
    lengths: list[int] = []
    for seed, steps in runs:
        rows.extend(steps)
        seeds.append(seed)
        lengths.append(len(steps))
    cells, evaluations, charged, overhead, answers = zip(*rows, strict=True) if rows else ((),) * 5
    fidelity = np.zeros(len(rows), dtype=np.int32)
    if cells and isinstance(cells[0], At):
        cells, fidelity[:] = zip(*cells, strict=True)
    figures = np.array(evaluations, dtype=np.float64).reshape(-1, len(Evaluation._fields))
    return Steps(
        seed=np.repeat(np.array(seeds, dtype=np.int32), lengths),
        query=np.concatenate([np.arange(1, n + 1, dtype=np.int32) for n in (*lengths, 0)]),
        cell=np.array([places.setdefault(str(cell), len(places)) for cell in cells], dtype=np.int32),
        answer=np.array([_place(places, cell) for cell in answers], dtype=np.int32),
        cells=tuple(places),
        validation=figures[:, 0].copy(),
        test=figures[:, 1].copy(),
        epochs=figures[:, 2].copy(),
        seconds=figures[:, 3].copy(),
        charged=np.array(charged, dtype=np.bool_),
        overhead=np.array(overhead, dtype=np.float64),
        fidelity=fidelity,
    )


def _place(places: Mapping[str, int], answer: object) -> int:
    place = -1 if answer is None else places.get(str(answer))
    if place is None:
        raise InvalidAnswer(f"recommend returned {answer!r:.60}, which the run has not evaluated")
    return place


def write(path: Path, header: Header, steps: Steps) -> None:
    """Write a result file and what was measured, each atomically.

    >>> import tempfile
    >>> header = Header(
    ...     argv=("nasgauge", "search", "random"), table="toy", table_sha256="", limits="",
    ...     dataset="toy", metric="toy/12/valid", report="toy/200/test", warning="", searcher="random", settings={},
    ...     budget="1 queries", repeats="charge", seeds=(0, 0),
    ... )
    >>> step = Step("a cell", Evaluation(91.2, 93.9, 12.0, 340.0), charged=True, overhead=0.01)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(Path(folder) / "result.parquet", header, gather([(0, [step])]))
    ...     record = read(Path(folder) / "result.parquet")
    >>> record.header.searcher, record.steps.validation.tolist()
    ('random', [91.2])
    """
    write_sealed(path, _pair(header, steps))


def digest_of(header: Header, steps: Steps) -> str:
    """SHA-256 of a header and its steps, without what was measured, as hexadecimal digits."""
    return _pair(header, steps).digest


def _pair(header: Header, steps: Steps) -> Sealed:
    return Sealed(
        header.model_dump(mode="json", exclude={*Header.ABOUT, "digest"}),
        {name: getattr(steps, name) for name in steps.columns if name not in header.timed},
        {"cell": Texts(steps.cell, steps.cells)},
        header.model_dump(mode="json", include=set(Header.ABOUT)),
        {name: getattr(steps, name) for name in header.timed},
    )


def read(path: Path, check: Callable[[Header], None] = lambda _header: None) -> Record:
    """Read a result file and what was measured, and verify both digests.

    Without a file of what was measured that fits, measured columns are NaN. `check` may raise DamagedRecord of a header.

    Raises DamagedRecord.

    >>> read(Path("nothing.parquet"))
    Traceback (most recent call last):
    ...
    nasgauge.harness.records.steps.DamagedRecord: result file nothing.parquet cannot be read (No such file or directory); \
give another path
    """
    try:
        pair = read_sealed(path, FORMAT, _REMEDY)
        check(Header.model_validate(pair.header))
        pair = with_measured(path, pair)
        header = Header.model_validate({**pair.header, **pair.about, "digest": pair.digest})
        cell = pair.texts["cell"]
        unknown = np.full(len(cell.places), np.nan)
        columns: dict[str, Any] = {"fidelity": np.zeros(len(cell.places), np.int32), **pair.columns}
        columns |= {**dict.fromkeys(header.timed, unknown), **pair.measured}
        names = (*COLUMNS, "fidelity")
        steps = Steps(cell=cell.places, cells=cell.texts, **{name: columns[name] for name in names})
    except Damaged as error:
        raise DamagedRecord(f"result file {error}") from error
    except (KeyError, ValidationError) as error:
        raise DamagedRecord(f"result file {path} holds something else; {ELSEWHERE}") from error
    return Record(header, steps, pair.lost)


def read_header(path: Path, check: Callable[[Header], None] = lambda _header: None) -> Header:
    """The header of a result file, whose content is checked; `check` is as for `read`.

    Raises DamagedRecord.
    """
    quick = quick_header(path, FORMAT)
    if quick is None:
        return read(path, check).header
    try:
        header = Header.model_validate(quick)
    except ValidationError as error:
        raise DamagedRecord(f"result file {path} holds something else; {ELSEWHERE}") from error
    check(header)
    return header


_REMEDY: Final = "remove it and run the campaign again, which runs only the missing units"
