"""Accuracy tables: named arrays over all cells of NAS-Bench-201, and one index, `Cell.rank`.

    AccuracyTable
      columns   Column(dataset, epochs, split, seed, metric) -> (15625,) float64; NaN: never trained
      views     dataset -> View(search=Column, report=Column): what a searcher is told, what is reported

A table is one `.npz` file without pickle, its columns one block (columns, cells). It
carries the sha256 of its own contents and of what it was
made from, so that a truncated or altered file is noticed when it is opened.
"""

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from nasgauge.data.atomic import replacing
from nasgauge.spaces.cells import N_CELLS, Cell
from nasgauge.spaces.errors import NasgaugeError

Split = Literal["train", "valid", "test", "valtest"]
Metric = Literal["accuracy", "loss", "seconds", "latency"]
Seed = int | Literal["mean", "single", "random"]

FORMAT: Final = 2


class DamagedTable(NasgaugeError, ValueError):
    """A file that is no table, or not the table that was written."""


class NotInTable(NasgaugeError, LookupError):
    """A question that this table cannot answer; the message says what it can."""


@dataclass(frozen=True, slots=True)
class Column:
    """What one figure for each cell is.

    >>> Column.parse("cifar10-valid/12/valid/mean/accuracy").seed
    'mean'
    """

    dataset: str
    """The benchmark's key of the training set: `cifar10-valid` is 25,000 images, `cifar10` 50,000."""
    epochs: int | None
    """Length of the training run, whose schedule ends there; None where the source does not say."""
    split: Split
    """Images it was measured on; `valtest` is validation and test images together."""
    seed: Seed
    """A training seed, the mean over all of a cell's seeds, or one seed that the source does not name.

    `random` is no column of a table: a figure of one of the cell's seeds, drawn anew for each query.
    """
    metric: Metric = "accuracy"
    """Accuracy in percent; loss is cross-entropy; seconds of one pass over the split; latency in seconds."""

    def __str__(self) -> str:
        epochs = "unstated" if self.epochs is None else self.epochs
        return f"{self.dataset}/{epochs}/{self.split}/{self.seed}/{self.metric}"

    @classmethod
    def parse(cls, text: str) -> "Column":
        """Read what `str` gives.

        Raises ValueError.
        """
        dataset, epochs, split, seed, metric = text.split("/")
        if split not in get_args(Split) or metric not in get_args(Metric):
            raise ValueError(f"{text!r} names no column")
        return cls(
            dataset,
            None if epochs == "unstated" else int(epochs),
            split,  # type: ignore[arg-type]  # checked above
            int(seed) if seed.isdecimal() else seed,  # type: ignore[arg-type]  # mean or single
            metric,  # type: ignore[arg-type]  # checked above
        )


@dataclass(frozen=True, slots=True)
class View:
    """The two columns of a search on one dataset: the signal, and the figure reported in the end."""

    search: Column
    report: Column

    @property
    def warning(self) -> str:
        """What is wrong with this pair, in words; empty where the signal is a validation figure."""
        if self.search == self.report:
            return "one figure for each cell: the search signal is the reported test accuracy itself"
        if self.search.split != "valid":
            return f"the search signal is measured on {self.search.split} images"
        return ""


@dataclass(frozen=True, kw_only=True)
class AccuracyTable:
    """All cells' figures from one origin."""

    name: str
    limits: str
    """In one sentence, what it cannot answer."""
    source_sha256: str
    """Of the file or files that it was made from."""
    columns: Mapping[Column, NDArray[np.float64]]
    """Each (15625,) by `Cell.rank`."""
    views: Mapping[str, View]
    """The honest default of each dataset."""
    official: NDArray[np.int32] | None = None
    """The benchmark's own index of each cell, (15625,) by `Cell.rank`; None where the source does not say."""
    sha256: str = field(init=False)
    """Of its own contents."""

    def __post_init__(self) -> None:
        for column, values in self.columns.items():
            if values.shape != (N_CELLS,):
                raise ValueError(f"{column} has shape {values.shape}; it takes one figure for each cell")
        if self.official is not None and not np.array_equal(np.sort(self.official), np.arange(N_CELLS)):
            raise ValueError(f"the official index takes every number from 0 to {N_CELLS - 1} once")
        object.__setattr__(self, "sha256", _digest(self))

    def column(self, column: Column) -> NDArray[np.float64]:
        """The figures of one column, (15625,) by `Cell.rank`; NaN where a cell was not trained.

        Raises NotInTable.
        """
        try:
            return self.columns[column]
        except KeyError:
            known = ", ".join(map(str, self.columns))
            raise NotInTable(f"table {self.name} has no {column}; it has {known}") from None

    def value(self, cell: Cell, column: Column) -> float:
        """One figure; a cell that was not trained so is refused, never filled in.

        Raises NotInTable.
        """
        value = float(self.column(column)[cell.rank])
        if np.isnan(value):
            raise NotInTable(f"{cell} has no {column} in table {self.name}")
        return value

    def seeds(self, column: Column) -> tuple[int, ...]:
        """Seeds that `column`, whose own seed is ignored, has figures of."""
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

    def save(self, path: Path) -> None:
        """Write the table to a `.npz` file, which appears whole or not at all."""
        header = {
            "format": FORMAT,
            "name": self.name,
            "limits": self.limits,
            "source_sha256": self.source_sha256,
            "sha256": self.sha256,
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
        """Open a table and check its contents against its own checksum.

        Raises DamagedTable.
        """
        try:
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                header = json.loads(str(file["header"]))
                if header["format"] != FORMAT:
                    raise DamagedTable(
                        f"{path} is a table of format {header['format']}, this version reads {FORMAT}; "
                        "remove the file and import it again"
                    )
                figures = file["figures"]
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
                official=official,
            )
        except (KeyError, TypeError, ValueError, EOFError, NotImplementedError, zipfile.BadZipFile) as error:
            if isinstance(error, DamagedTable):
                raise
            raise DamagedTable(_damaged(path, f"it does not read as a table: {error}")) from error
        if table.sha256 != header["sha256"]:
            raise DamagedTable(_damaged(path, "its contents do not have the checksum that it was saved with"))
        return table


def _digest(table: AccuracyTable) -> str:
    digest = hashlib.sha256(f"{table.name}\n{table.limits}\n{table.source_sha256}\n".encode())
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
