"""The figures of official records: which of them are kept, and where they go."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from nasgauge.data.columns import default_views
from nasgauge.data.curves import RANK, mean_of_trained, seal, write_head
from nasgauge.data.importers.pickles import ImportFailed
from nasgauge.data.importers.stream import ALL
from nasgauge.data.tables import AccuracyTable, Column, Metric, Split
from nasgauge.spaces.cells import N_CELLS

FORMS: Final = MappingProxyType({"full": "200", "less": "12", "200": "200", "12": "12"})
"""Epochs of a run, by the names that the official files have for it."""

SETS: Final[Mapping[str, Mapping[str, Split]]] = MappingProxyType(
    {
        "cifar10-valid": {"x-valid": "valid", "ori-test": "test"},
        "cifar10": {"ori-test": "test"},
        "cifar100": {"x-valid": "valid", "x-test": "test", "ori-test": "valtest"},
        "ImageNet16-120": {"x-valid": "valid", "x-test": "test", "ori-test": "valtest"},
    }
)
"""What the benchmark's sets of images are, for each training."""

_SEEDS: Final = MappingProxyType({200: (777, 888, 999), 12: (111, 777)})
_CURVES_OF_200: Final = MappingProxyType(
    {"cifar10-valid": "valid", "cifar10": "test", "cifar100": "valtest", "ImageNet16-120": "valtest"}
)
"""The one set that the runs of 200 epochs were evaluated on after every epoch."""


def _layout() -> np.dtype[np.void]:
    columns: list[Column] = []
    for dataset, sets in SETS.items():
        for epochs, seeds in _SEEDS.items():
            every = (_CURVES_OF_200[dataset],) if epochs == 200 else tuple(sets.values())
            columns += [
                Column(dataset, epochs, split, seed, metric)
                for split in ("train", *every)
                for seed in seeds
                if epochs == 200 or seed == 111 or dataset == "cifar10-valid"
                for metric in ("accuracy", "loss")
            ]
    return np.dtype([(RANK, "<i4"), *((str(c), "<f8", (c.epochs or 0,)) for c in columns)])


LAYOUT: Final = _layout()
"""A row of the file of curves."""


class Figures:
    """What was kept of the records so far; curves go to `file` at once."""

    def __init__(self, file: IO[bytes] | None) -> None:
        self._columns: dict[Column, NDArray[np.float64]] = {}
        self._file = file
        self._seen = np.zeros(N_CELLS, dtype=bool)
        self.ranks: list[int] = []
        """The cells that came, in their order."""
        if file is not None:
            write_head(file, LAYOUT, 0)

    def add(self, rank: int, states: Mapping[str, Any]) -> None:
        """Keep the figures of one cell.

        Raises ImportFailed.
        """
        if self._seen[rank]:
            raise ImportFailed(f"it holds cell {next(iter(states.values()))['arch_str']} twice")
        self._seen[rank] = True
        self.ranks.append(rank)
        row = _empty_row() if self._file is not None else None
        if row is not None:
            row[RANK] = rank
        for form, state in states.items():
            for (dataset, seed), trial in state["all_results"].items():
                if dataset not in SETS:
                    raise ImportFailed(f"it has a training on {dataset!r}, which the benchmark has not")
                self._add_trial(rank, Column(dataset, int(form), "train", int(seed)), trial, row)
        if self._file is not None and row is not None:
            self._file.write(row.tobytes())

    def _add_trial(
        self, rank: int, column: Column, trial: Mapping[str, Any], row: NDArray[np.void] | None
    ) -> None:
        if trial["epochs"] != column.epochs:
            raise ImportFailed(f"a run of {column.epochs} epochs says that it has {trial['epochs']}")
        self._add_set(
            rank, column, "", (trial["train_acc1es"], trial["train_losses"], trial["train_times"]), row
        )
        latencies = [value for value in trial["latency"] or () if value > 0]
        if latencies:
            self._set(rank, replace(column, split="test", metric="latency"), sum(latencies) / len(latencies))
        evaluated = (trial["eval_acc1es"], trial["eval_losses"], trial["eval_times"])
        for name in trial["eval_names"]:
            split = SETS[column.dataset].get(name)
            if split is None:
                raise ImportFailed(f"a training on {column.dataset} was evaluated on {name!r}")
            self._add_set(rank, replace(column, split=split), f"{name}@", evaluated, row)

    def _add_set(
        self,
        rank: int,
        column: Column,
        prefix: str,
        sources: tuple[Mapping[Any, Any] | None, ...],
        row: NDArray[np.void] | None,
    ) -> None:
        metrics: tuple[Metric, ...] = ("accuracy", "loss", "seconds")
        for metric, source in zip(metrics, sources, strict=True):
            kept, name = _with(column, metric)
            curve = _curve(source, prefix, column.epochs or 0)
            if curve is None:
                continue
            # times are one figure for every epoch; a mean if a file has it otherwise
            even = metric != "seconds" or len(curve) == 1 or bool((curve == curve[0]).all())
            self._set(rank, kept, float(curve[-1]) if even else float(curve.mean()))
            if row is not None and metric != "seconds" and len(curve) > 1:
                if name not in (LAYOUT.names or ()):
                    raise ImportFailed(f"it has a curve of {name}, for which the file of curves has no place")
                row[name] = curve

    def _set(self, rank: int, column: Column, value: float) -> None:
        values = self._columns.get(column)
        if values is None:
            values = self._columns[column] = np.full(N_CELLS, np.nan)
        values[rank] = value

    def table(self, name: str, checksum: str, official: NDArray[np.int32]) -> AccuracyTable:
        """All figures, and the mean of each over seeds; completes the file of curves."""
        if self._file is not None:
            seal(self._file, LAYOUT, len(self.ranks))
        columns = dict(self._columns)
        for group in sorted({replace(column, seed="mean") for column in columns}, key=str):
            runs = [columns[c] for c in sorted(self._columns, key=str) if replace(c, seed="mean") == group]
            columns[group] = mean_of_trained(np.stack(runs))
        missing = N_CELLS - len(self.ranks)
        return AccuracyTable(
            name=name,
            limits=(f"it lacks {missing} of {N_CELLS} cells; " if missing else "")
            + "seeds that were not trained are missing; times are one figure for each cell, the same for all "
            "seeds, scaled by numbers of images; 200-epoch curves of cifar100 and ImageNet16-120 are of "
            "validation and test images together",
            source_sha256=checksum,
            columns=columns,
            views=default_views(columns),
            official=official,
        )


@lru_cache(maxsize=1024)
def _with(column: Column, metric: Metric) -> tuple[Column, str]:
    kept = replace(column, metric=metric)
    return kept, str(kept)


def _curve(source: Mapping[Any, Any] | None, prefix: str, epochs: int) -> NDArray[np.float64] | None:
    """Figures of all epochs, or of the last alone, or none."""
    if not source:
        return None

    def name(epoch: int) -> str | int:
        return f"{prefix}{epoch}" if prefix else epoch

    start = source.get(f"{prefix}{ALL}", ())  # the first 12 of 200 where a pickle's frame ends among them
    if len(start) == epochs:
        curve: NDArray[np.float64] = start
        return curve
    if len(start) or name(0) in source:
        rest = [source[name(epoch)] for epoch in range(len(start), epochs)]
        return np.array([*start, *rest], dtype=np.float64)
    last = source.get(name(epochs - 1))
    return None if last is None else np.array([last], dtype=np.float64)


def _empty_row() -> NDArray[np.void]:
    row = np.empty((), dtype=LAYOUT)
    for name in LAYOUT.names or ():
        row[name] = -1 if name == RANK else np.nan
    return row
