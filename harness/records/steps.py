"""Result files: the evaluations of search runs, step by step, with the information needed to reproduce them.

A parquet file holds one unit of work (runs of one searcher on one dataset for a block of seeds), with one row per
step. Its header describes how to reproduce it and contains a digest of the steps. The digest is the same for the
same seeds on any machine; it excludes only `overhead`, the measured time of the searcher.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, Literal, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from nasgauge.data.atomic import replacing
from nasgauge.spaces.errors import NasgaugeError

C = TypeVar("C")

FORMAT: Final = 1
_HEADER: Final = b"nasgauge"


class DamagedRecord(NasgaugeError, ValueError):
    """Raised for a file that is not a result file or was altered after it was written."""


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

    format: int = FORMAT
    argv: tuple[str, ...]
    commit: str
    versions: dict[str, str]
    table: str
    table_sha256: str
    limits: str
    dataset: str
    metric: str
    """The table column used as search metric."""
    report: str
    """The table column used as reported accuracy."""
    warning: str
    seconds: Literal["table", "modelled", "measured", "none"] = "none"
    """Source of the seconds: the table, a cost model, measured while training here, or none."""
    searcher: str
    """Name and options that differ from the defaults, as in `evolution:population=50`."""
    settings: dict[str, int | float | str | bool]
    """All options of the searcher."""
    budget: str
    repeats: str
    seeds: tuple[int, int]
    """First and last seed. Run s uses the two children of `SeedSequence(s).spawn(2)`, for searcher and oracle."""
    digest: str = ""
    """SHA-256 of the steps (see `Steps.digest`)."""


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

    @property
    def digest(self) -> str:
        """SHA-256 of all arrays except `overhead`, as hexadecimal digits."""
        digest = hashlib.sha256("\n".join(self.cells).encode())
        for name in ("seed", "query", "cell", "validation", "test", "epochs", "seconds", "charged", "answer"):
            values: NDArray[np.generic] = getattr(self, name)
            digest.update(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).data)
        return digest.hexdigest()


@dataclass(frozen=True)
class Record:
    """The contents of a result file."""

    header: Header
    steps: Steps


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
    figures = np.array(evaluations, dtype=np.float64).reshape(-1, len(Evaluation._fields))
    return Steps(
        seed=np.repeat(np.array(seeds, dtype=np.int32), lengths),
        query=np.concatenate([np.arange(1, n + 1, dtype=np.int32) for n in (*lengths, 0)]),
        cell=np.array([places.setdefault(str(cell), len(places)) for cell in cells], dtype=np.int32),
        answer=np.array([-1 if cell is None else places[str(cell)] for cell in answers], dtype=np.int32),
        cells=tuple(places),
        validation=figures[:, 0].copy(),
        test=figures[:, 1].copy(),
        epochs=figures[:, 2].copy(),
        seconds=figures[:, 3].copy(),
        charged=np.array(charged, dtype=np.bool_),
        overhead=np.array(overhead, dtype=np.float64),
    )


def write(path: Path, header: Header, steps: Steps) -> None:
    """Write a result file atomically, with the digest of `steps` in its header.

    >>> import tempfile
    >>> header = Header(
    ...     argv=("nasgauge", "search", "random"), commit="", versions={}, table="toy", table_sha256="", limits="",
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
    whole = header.model_copy(update={"digest": steps.digest})
    columns = {
        "seed": pa.array(steps.seed),
        "query": pa.array(steps.query),
        "cell": pa.DictionaryArray.from_arrays(steps.cell, pa.array(steps.cells, pa.string())),
        "validation": pa.array(steps.validation),
        "test": pa.array(steps.test),
        "epochs": pa.array(steps.epochs),
        "seconds": pa.array(steps.seconds),
        "charged": pa.array(steps.charged),
        "overhead": pa.array(steps.overhead),
        "answer": pa.array(steps.answer),
    }
    table = pa.table(columns).replace_schema_metadata({_HEADER: whole.model_dump_json().encode()})
    with replacing(path) as file:
        pq.write_table(table, file, compression="zstd")


def read(path: Path) -> Record:
    """Read a result file and verify its digest.

    Raises DamagedRecord.

    >>> read(Path("nothing.parquet"))
    Traceback (most recent call last):
    ...
    nasgauge.harness.records.steps.DamagedRecord: result file nothing.parquet is damaged (nothing.parquet); \
remove it and run the campaign again, which runs only the missing units
    """
    try:
        table = pq.read_table(path, memory_map=False, partitioning=None)
        header = Header.model_validate_json(table.schema.metadata[_HEADER])
        cell = table["cell"].combine_chunks()
        steps = Steps(
            cell=np.asarray(cell.indices, dtype=np.int32),
            cells=tuple(cell.dictionary.to_pylist()),
            **{
                name: table[name].to_numpy()
                for name in (
                    "seed",
                    "query",
                    "validation",
                    "test",
                    "epochs",
                    "seconds",
                    "charged",
                    "overhead",
                    "answer",
                )
            },
        )
    except (OSError, KeyError, TypeError, ValueError, ValidationError, pa.ArrowException) as error:
        why = str(error).splitlines()[0]
        raise DamagedRecord(f"result file {path} is damaged ({why}); {_REMEDY}") from error
    if header.format != FORMAT:
        raise DamagedRecord(
            f"result file {path} has format {header.format}; this version reads format {FORMAT}"
        )
    if steps.digest != header.digest:
        raise DamagedRecord(
            f"result file {path} was altered (its digest does not match its steps); {_REMEDY}"
        )
    return Record(header, steps)


def read_header(path: Path) -> Header:
    """The header of a result file, without its steps.

    Raises DamagedRecord.
    """
    try:
        return Header.model_validate_json(pq.read_schema(path).metadata[_HEADER])
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise DamagedRecord(
            f"result file {path} is damaged ({str(error).splitlines()[0]}); {_REMEDY}"
        ) from error


_REMEDY: Final = "remove it and run the campaign again, which runs only the missing units"
