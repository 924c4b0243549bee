"""Learning curves: one value for each epoch, in a memory-mapped file beside the table.

    Curves
      rows      structured array, a row for each cell: `rank`, and Column -> (epochs,) float64

The file is a plain `.npy`, so opening does not read it. NaN: not trained with that seed, or not measured at
that epoch. Its head ends with a comment that NumPy passes over, a checksum of the whole file.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from nasgauge.data.atomic import replacing
from nasgauge.data.tables import Column, DamagedTable, NotInTable
from nasgauge.spaces.cells import N_CELLS, Cell
from nasgauge.spaces.checksums import BLANK, checksum_of, stamp_in, stamp_of
from nasgauge.spaces.errors import reason

RANK: Final = "rank"


def curves_path(table: Path) -> Path:
    """Path of the curves of the table file `table`."""
    return table.with_suffix(".curves.npy")


@dataclass(frozen=True)
class Curves:
    """Learning curves from one source."""

    rows: NDArray[np.void]
    sha256: str = ""
    """The checksum in their file; empty where it has none, as the files of earlier versions."""

    @classmethod
    def load(cls, path: Path, *, whole: bool = False) -> "Curves":
        """Open a file of curves: its head and size are checked, and with `whole` all of it against its checksum.

        Raises DamagedTable.
        """
        try:
            rows: Any = np.load(path, mmap_mode="r", allow_pickle=False)
            if RANK not in (rows.dtype.names or ()):
                raise ValueError("it holds no curves")
            if (size := path.stat().st_size) != rows.offset + rows.nbytes:
                raise ValueError(f"it has {size} bytes, its head says {rows.offset + rows.nbytes}")
            with path.open("rb") as file:
                head = file.read(rows.offset)
                sha256 = stamp_in(head)
                if not sha256 and head.rpartition(b"}")[2].strip():
                    raise ValueError("its checksum is damaged")
                if whole and sha256 and checksum_of(file, rows.offset) != sha256:
                    raise ValueError("it was altered: its content does not fit its checksum")
        except Exception as error:  # NumPy's parser of heads raises errors of many kinds
            raise DamagedTable(
                f"curves file {path} is damaged ({reason(error)}); remove it and import it again"
            ) from error
        return cls(rows, sha256)

    def save(self, path: Path) -> None:
        """Write a file of curves, with a checksum, atomically."""
        with replacing(path) as file:
            write_head(file, self.rows.dtype, len(self.rows))
            file.write(self.rows.tobytes())
            seal(file, self.rows.dtype, len(self.rows))

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Columns that there are curves of, each with a seed."""
        return tuple(Column.parse(name) for name in self.rows.dtype.names or () if name != RANK)

    @cached_property
    def _ranks(self) -> NDArray[np.int64]:
        ranks: NDArray[np.int64] = self.rows[RANK].astype(np.int64)
        if ((ranks < 0) | (ranks >= N_CELLS)).any() or len(np.unique(ranks)) != len(ranks):
            raise DamagedTable("the learning curves are not of different cells; import them again")
        return ranks

    @cached_property
    def _row(self) -> NDArray[np.int64]:
        row = np.full(N_CELLS, -1, dtype=np.int64)
        row[self._ranks] = np.arange(len(self.rows))
        return row

    def seeds(self, column: Column) -> tuple[int, ...]:
        """Seeds that there are curves of; the seed of `column` is ignored."""
        return tuple(
            found.seed
            for found in self.columns
            if isinstance(found.seed, int) and replace(found, seed=column.seed) == column
        )

    def at(self, column: Column, epoch: int) -> NDArray[np.float64]:
        """The values after `epoch` epochs, counted from 1, (15625,) by `Cell.rank`.

        The seed `mean` is the mean over the seeds that a cell was trained with.

        Raises NotInTable.
        """
        seeds = self.seeds(column) if column.seed == "mean" else (column.seed,)
        found = [self._one(replace(column, seed=seed), epoch) for seed in seeds]
        if not found:
            self._refuse(column)
        return mean_of_trained(np.stack(found))

    def curve(self, cell: Cell, column: Column) -> NDArray[np.float64]:
        """All epochs of one cell and seed.

        Raises NotInTable.
        """
        if column not in self.columns:
            self._refuse(column)
        row = self._row[cell.rank]
        curve = np.asarray(self.rows[row][str(column)]) if row >= 0 else np.array([np.nan])
        if np.isnan(curve[-1]):
            raise NotInTable(f"there is no curve {column} of {cell}")
        return curve

    def _one(self, column: Column, epoch: int) -> NDArray[np.float64]:
        if column not in self.columns:
            self._refuse(column)
        length = column.epochs or 0
        if not 1 <= epoch <= length:
            raise NotInTable(f"a run of {length} epochs has no epoch {epoch}; choose from 1 to {length}")
        values = np.full(N_CELLS, np.nan)
        values[self._ranks] = self.rows[str(column)][:, epoch - 1]
        return values

    def _refuse(self, column: Column) -> None:
        known = sorted({f"{c.dataset}/{c.epochs}/{c.split}/{c.metric}" for c in self.columns})
        raise NotInTable(f"there are no curves of {column}; there are curves of {', '.join(known)}")


def write_head(file: IO[bytes], layout: np.dtype[np.void], rows: int, stamp: str = BLANK) -> None:
    """Write the head of a file of curves, which is equally long for any number of rows."""
    descr = np.lib.format.dtype_to_descr(layout)
    head, longest = (
        f"{{'descr': {descr}, 'fortran_order': False, 'shape': ({count},), }}  # {stamp}"
        for count in (rows, N_CELLS)
    )
    size = 64 * (len(longest) // 64 + 2)
    file.seek(0)
    file.write(b"\x93NUMPY\x01\x00" + size.to_bytes(2, "little") + head.encode().ljust(size - 1) + b"\n")


def seal(file: IO[bytes], layout: np.dtype[np.void], rows: int) -> None:
    """Complete a file of curves, all rows of which were written after its head: their number, and the checksum."""
    write_head(file, layout, rows)
    end = file.tell()
    write_head(file, layout, rows, stamp_of(checksum_of(file, end)))


def mean_of_trained(runs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the runs that are not NaN, (runs, …) to (…); NaN where all are."""
    trained = ~np.isnan(runs)
    count = trained.sum(axis=0)
    total = np.where(trained, runs, 0.0).sum(axis=0)
    mean: NDArray[np.float64] = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return mean
