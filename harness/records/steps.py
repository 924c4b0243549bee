"""Result files: what a run did, step by step, and how to get it again.

One parquet file holds one unit of work (a searcher on a dataset, for a block of seeds), a row for each
step. Its header says how to repeat it and carries a digest of the step data, which is the same for the
same seeds on any machine; only `overhead`, the searcher's measured seconds, is not part of it.
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

C = TypeVar("C")

FORMAT: Final = 1
_HEADER: Final = b"nasgauge"


class DamagedRecord(ValueError):
    """A file that is no result file, or not the one that was written."""


class Evaluation(NamedTuple):
    """What an oracle says of a cell; a searcher is told `validation` alone."""

    validation: float
    """The search signal, in percent."""
    test: float
    """The figure that is reported in the end, in percent."""
    epochs: float
    """Training epochs that the query stands for; NaN where the table does not say."""
    seconds: float
    """Simulated GPU seconds of the query, and seconds of the search itself where the searcher charges them
    (`search_seconds`); NaN where the table has no times."""


class Step(NamedTuple, Generic[C]):
    """One query of a run."""

    cell: C
    evaluation: Evaluation
    charged: bool
    """False for a repeated query under the policy `free`."""
    overhead: float
    """Measured seconds of the searcher itself since the step before: never charged, never compared."""
    answer: C | None = None
    """The evaluated cell that the searcher would give as its answer now; None: that of the best signal."""


class Header(BaseModel):
    """How to get a result file again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    argv: tuple[str, ...]
    commit: str
    versions: dict[str, str]
    table: str
    table_sha256: str
    limits: str
    dataset: str
    signal: str
    """The column that the searcher was told."""
    report: str
    """The column of the reported accuracy."""
    warning: str
    seconds: Literal["table", "modelled", "measured", "none"] = "none"
    """Where seconds come from: simulated, as the benchmark measured them or by a cost model; measured here,
    by training; or nowhere."""
    searcher: str
    """Name, and options that differ from the defaults: `evolution:population=50`."""
    settings: dict[str, int | float | str | bool]
    """Every option of the searcher."""
    budget: str
    repeats: str
    seeds: tuple[int, int]
    """First and last; the run of seed s draws from `SeedSequence(s).spawn(2)`: searcher, then oracle."""
    digest: str = ""
    """sha256 of the step data."""


@dataclass(frozen=True)
class Steps:
    """The steps of several runs as arrays, (steps,) each, run after run."""

    seed: NDArray[np.int32]
    query: NDArray[np.int32]
    """1 for the first step of a run."""
    cell: NDArray[np.int32]
    """Place in `cells`."""
    cells: tuple[str, ...]
    validation: NDArray[np.float64]
    test: NDArray[np.float64]
    epochs: NDArray[np.float64]
    seconds: NDArray[np.float64]
    charged: NDArray[np.bool_]
    overhead: NDArray[np.float64]
    answer: NDArray[np.int32]
    """Place in `cells` of the searcher's own answer after the step; -1: the cell with the best signal."""

    @property
    def digest(self) -> str:
        """sha256 over everything but `overhead`."""
        digest = hashlib.sha256("\n".join(self.cells).encode())
        for name in ("seed", "query", "cell", "validation", "test", "epochs", "seconds", "charged", "answer"):
            values: NDArray[np.generic] = getattr(self, name)
            digest.update(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).data)
        return digest.hexdigest()


@dataclass(frozen=True)
class Record:
    """A result file's contents."""

    header: Header
    steps: Steps


def gather(runs: Iterable[tuple[int, Sequence[Step[C]]]]) -> Steps:
    """The steps of some runs, each with its seed, as arrays; a run may have no steps."""
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
    """Write a result file, which appears whole or not at all."""
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
    """Open a result file and check its step data against its digest.

    Raises DamagedRecord.
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
        raise DamagedRecord(f"result file {path} has format {header.format}, this version reads {FORMAT}")
    if steps.digest != header.digest:
        raise DamagedRecord(f"result file {path} was altered (its digest does not fit its steps); {_REMEDY}")
    return Record(header, steps)


_REMEDY: Final = "remove it and run the campaign again, which makes just what is missing"
