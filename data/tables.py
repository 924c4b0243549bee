"""Accuracy tables: one array over all 15,625 cells of NAS-Bench-201 for each column.

    AccuracyTable
      columns   Column(dataset, epochs, split, seed, metric) -> (15625,) float64 by `Cell.rank`; NaN: not trained
      views     dataset -> View(search=Column, report=Column): the search metric, and the reported accuracy

A table is stored as one `.npz` file without pickle. The file carries the sha256 of its contents and of its
sources, and the contents are checked when it is opened.
"""

import hashlib
import json
import operator
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from html import escape
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from nasgauge.data.atomic import replacing
from nasgauge.data.columns import Column, Metric, Seed, Split, View, training_of
from nasgauge.spaces.cells import N_CELLS, Cell, all_cells
from nasgauge.spaces.costs import TASKS, multiply_adds, of_every_cell, parameters
from nasgauge.spaces.errors import ELSEWHERE, NasgaugeError
from nasgauge.spaces.nb201 import SPACES

if TYPE_CHECKING:
    import pandas as pd

__all__ = (
    "FORMAT",
    "AccuracyTable",
    "Column",
    "DamagedTable",
    "Metric",
    "NotInTable",
    "Seed",
    "Split",
    "View",
)

FORMAT: Final = 2
_FIRST: Final = b"header.npy"  # with this entry every table file begins
_DAMAGE: Final = (
    ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What reading a damaged archive of arrays may raise."""


class DamagedTable(NasgaugeError, ValueError):
    """A file that is not a table, or whose contents do not match their checksum."""


class NotInTable(NasgaugeError, LookupError):
    """A query of an entry that the table does not have; the message lists what it has."""


@dataclass(frozen=True, kw_only=True)
class AccuracyTable:
    """Accuracies of all cells from one source.

    >>> from nasgauge.data.sources import open_table
    >>> table = open_table("nb201")
    >>> round(table.query(11, dataset="cifar10", epochs=12, split="valid"), 3)
    63.278
    >>> table.query(0, dataset="cifar100", epochs=200, split="valid", seed=888)
    53.07999993286133
    """

    name: str
    limits: str
    """What the table does not have, in one sentence."""
    source_sha256: str
    """Checksum of the file or files that it was made from."""
    columns: Mapping[Column, NDArray[np.float64]]
    """Each (15625,) by `Cell.rank`."""
    views: Mapping[str, View]
    """The default search metric and reported accuracy of each dataset."""
    space: str = "nb201"
    """The name of its space in `nasgauge.spaces.nb201.SPACES`; columns are NaN for all other cells."""
    official: NDArray[np.int32] | None = None
    """The benchmark's own index of each cell, (15625,) by `Cell.rank`; None where the source does not say."""
    sha256: str = field(init=False)
    """Checksum of the contents."""

    def __post_init__(self) -> None:
        for column, values in self.columns.items():
            if values.shape != (N_CELLS,):
                raise ValueError(f"{column} has shape {values.shape}; it takes one value for each cell")
        if self.space not in SPACES:
            raise ValueError(f"there is no space {self.space!r}; choose from {', '.join(SPACES)}")
        if self.official is not None and not np.array_equal(np.sort(self.official), np.arange(N_CELLS)):
            raise ValueError(f"the official index takes every number from 0 to {N_CELLS - 1} once")
        object.__setattr__(self, "sha256", _digest(self))

    def query(
        self,
        cell: Cell | str | int,
        *,
        dataset: str,
        epochs: int | None,
        split: Split,
        seed: Seed = "mean",
        metric: Metric = "accuracy",
    ) -> float:
        """One value of one cell: an accuracy in percent by default; see `Column` for the other metrics.

        `cell` is a cell, its official string, or its index in the benchmark. Validation accuracy of `cifar10`
        is that of the training `cifar10-valid`, which holds 25,000 images out.

        Raises NotInTable if the table does not have it; InvalidCell for a string that is not a cell.

        >>> from nasgauge.data.sources import open_table
        >>> text = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|none~0|nor_conv_3x3~1|avg_pool_3x3~2|"
        >>> round(open_table("nb201").query(text, dataset="cifar100", epochs=200, split="test"), 3)
        67.607
        """
        column = Column(training_of(dataset, split), epochs, split, seed, metric)
        return self.value(self._cell(cell), column)

    def column(self, column: Column) -> NDArray[np.float64]:
        """The values of one column, (15625,) by `Cell.rank`; NaN where a cell was not trained.

        Raises NotInTable.
        """
        try:
            return self.columns[column]
        except KeyError:
            near = sorted(str(c) for c in self.columns if c.dataset == column.dataset)
            alike = [text for text in near if text.endswith(f"/{column.metric}")] or near
            known = (
                ", ".join(alike) or f"datasets {', '.join(dict.fromkeys(c.dataset for c in self.columns))}"
            )
            raise NotInTable(f"table {self.name} has no {column}; it has {known}") from None

    def value(self, cell: Cell, column: Column) -> float:
        """One value; NaN is refused.

        Raises NotInTable.
        """
        value = float(self.column(column)[cell.rank])
        if np.isnan(value):
            seeds = [
                str(seed)
                for seed in self.seeds(column)
                if not np.isnan(self.columns[replace(column, seed=seed)][cell.rank])
            ]
            hint = f"; it has seeds {', '.join(seeds)}" if seeds else ""
            raise NotInTable(f"{cell} has no {column} in table {self.name}{hint}")
        return value

    def seeds(self, column: Column) -> tuple[int, ...]:
        """Seeds that there are columns of, apart from which they equal `column`."""
        return tuple(
            found.seed
            for found in self.columns
            if isinstance(found.seed, int) and replace(found, seed=column.seed) == column
        )

    def view(self, dataset: str) -> View:
        """The default view of a dataset.

        Raises NotInTable.
        """
        try:
            return self.views[dataset]
        except KeyError:
            known = ", ".join(self.views)
            raise NotInTable(f"table {self.name} has no dataset {dataset!r}; choose from {known}") from None

    def frame(self) -> "pd.DataFrame":
        """A row for each cell, in the benchmark's order where it is known, with the official string as index.

        Columns are named as `str(Column)`: dataset/epochs/split/seed/metric. Then follow, for each dataset,
        computed `parameters` and `multiply_adds` (which the benchmark calls FLOPs), in millions.

        >>> from nasgauge.data.sources import open_table
        >>> frame = open_table("nb201").frame()
        >>> frame["cifar10/200/test/mean/accuracy"].idxmax()
        '|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|'
        >>> frame["cifar10/multiply_adds"].iloc[11]
        np.float64(113.95137)
        """
        import pandas as pd

        order = SPACES[self.space]().ranks if self.official is None else np.argsort(self.official)
        columns = {str(column): values for column, values in self.columns.items()}
        for dataset in self.views:
            if dataset in TASKS:
                for cost in (parameters, multiply_adds):
                    columns[f"{dataset}/{cost.__name__}"] = of_every_cell(cost, dataset) / 1e6
        cells = pd.Index([str(all_cells()[rank]) for rank in order.tolist()], name="cell")
        return pd.DataFrame({name: values[order] for name, values in columns.items()}, index=cells)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(dataset)}</td><td>{escape(str(view.search))}</td>"
            f"<td>{escape(str(view.report))}</td><td>{np.nanmax(self.column(view.report)):.2f}</td></tr>"
            for dataset, view in self.views.items()
        )
        return (
            f"<p>Table <b>{escape(self.name)}</b>: {len(SPACES[self.space]()):,} cells, {len(self.columns)} columns, "
            f"sha256 {self.sha256[:12]}. Not in it: {escape(self.limits)}.</p>"
            "<table><tr><th>dataset</th><th>search metric</th><th>reported</th><th>best reported, %</th></tr>"
            f"{rows}</table>"
        )

    def _cell(self, cell: Cell | str | int) -> Cell:
        if isinstance(cell, Cell):
            return cell
        if isinstance(cell, str):
            return Cell.parse(cell)
        if self.official is None:
            raise NotInTable(
                f"table {self.name} does not have the benchmark's index of its cells; give a cell"
            )
        found = np.flatnonzero(self.official == operator.index(cell))
        if not len(found):
            raise NotInTable(f"there is no cell {cell}; choose from 0 to {N_CELLS - 1}")
        return all_cells()[int(found[0])]

    def save(self, path: Path) -> None:
        """Write the table to a `.npz` file, which appears complete or not at all.

        The file is not compressed, so the same table gives the same bytes with any version of zlib.
        """
        header = {
            "format": FORMAT,
            "name": self.name,
            "limits": self.limits,
            "source_sha256": self.source_sha256,
            "sha256": self.sha256,
            **({} if self.space == "nb201" else {"space": self.space}),
            "columns": [str(column) for column in self.columns],
            "views": {
                dataset: {"search": str(view.search), "report": str(view.report)}
                for dataset, view in self.views.items()
            },
        }
        arrays: dict[str, NDArray[np.generic]] = {"figures": np.stack([*self.columns.values()])}
        if self.official is not None:
            arrays["official"] = self.official
        with replacing(path) as file:
            np.savez(file, allow_pickle=False, header=np.array(json.dumps(header)), **arrays)

    @classmethod
    def load(cls, path: Path) -> "AccuracyTable":
        """Open a table file and check its contents against the checksum in it.

        Raises DamagedTable.
        """
        with path.open("rb") as file:
            return cls.read(file, path)

    @classmethod
    def read(cls, opened: IO[bytes], path: Path) -> "AccuracyTable":
        """As `load`, from an open file; `path` is for messages.

        Raises DamagedTable.
        """
        try:
            with np.load(opened, allow_pickle=False) as file:
                header = json.loads(str(file["header"]))
                if header["format"] != FORMAT:
                    raise DamagedTable(
                        f"{path} is a table of format {header['format']}, this version reads {FORMAT}; "
                        "give another one, or import it again"
                    )
                figures = file["figures"]
                figures.flags.writeable = False  # a table is a value
                official = file["official"] if "official" in file.files else None
            table = cls(
                name=header["name"],
                limits=header["limits"],
                source_sha256=header["source_sha256"],
                columns=dict(zip(map(Column.parse, header["columns"]), figures, strict=True)),
                views={
                    dataset: View(Column.parse(view["search"]), Column.parse(view["report"]))
                    for dataset, view in header["views"].items()
                },
                space=header.get("space", "nb201"),
                official=official,
            )
        except _DAMAGE as error:
            if isinstance(error, DamagedTable):
                raise
            opened.seek(0)
            if _FIRST not in opened.read(len(_FIRST) + 64):
                raise DamagedTable(f"{path} is not a table of nasgauge; {ELSEWHERE}") from error
            raise DamagedTable(_damaged(path, f"it does not read as a table: {error}")) from error
        if table.sha256 != header["sha256"]:
            raise DamagedTable(_damaged(path, "its contents do not have the checksum that it was saved with"))
        return table


def _digest(table: AccuracyTable) -> str:
    space = "" if table.space == "nb201" else f"{table.space}\n"
    digest = hashlib.sha256(f"{table.name}\n{table.limits}\n{table.source_sha256}\n{space}".encode())
    views = {dataset: asdict(view) for dataset, view in sorted(table.views.items())}
    digest.update(json.dumps(views, sort_keys=True).encode())
    for column in sorted(table.columns, key=str):
        digest.update(str(column).encode())
        digest.update(np.ascontiguousarray(table.columns[column], dtype="<f8").data)
    if table.official is not None:
        digest.update(np.ascontiguousarray(table.official, dtype="<i4").data)
    return digest.hexdigest()


def _damaged(path: Path, why: str) -> str:
    return f"table file {path} is damaged ({why}); remove it and make it again"
