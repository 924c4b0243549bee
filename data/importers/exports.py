"""Four public exports of NAS-Bench-201, of all 15,625 cells each, to one table.

They differ in order and encoding; each is read by the cell it names and checked against the others.
"""

import csv
import hashlib
import json
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from nasgauge.data.importers.pickles import ImportFailed, Record, unpickle
from nasgauge.data.published import sha256
from nasgauge.data.tables import AccuracyTable, Column, View
from nasgauge.spaces.cells import ENCODINGS, N_CELLS, Cell

T = TypeVar("T")

EXPORTS: Final = ("nats_bench.csv", "mini-bench-arch-cell-accs.pd", "nb201_zen.zip", "nb2_test_acc_cf10.p")
"""The files' own names."""

EXPORTS_LIMITS: Final = (
    "no validation figure but that of the 12-epoch run; single seeds for CIFAR-10 after 200 epochs alone, "
    "and for 2,416 cells fewer of them than the mean covers; no losses, training accuracies, curves or times"
)

_Columns = dict[Column, NDArray[np.float64]]
_DATASETS: Final = ("cifar10", "cifar100", "ImageNet16-120")
_SEEDS: Final = (777, 888, 999)


def import_exports(paths: Mapping[str, Path]) -> AccuracyTable:
    """The table `nb201`, from the path of each of `EXPORTS`.

    Raises ImportFailed.
    """
    means, frame, zipped, seeds = (paths[name] for name in EXPORTS)
    columns, official = _read(means, _means)
    for path, reader in ((frame, _twelve_epochs), (zipped, _single_seed), (seeds, _cifar10_seeds)):
        columns |= _read(path, reader)
    _compare_seeds_with_mean(columns, paths)
    checksums = "\n".join(sha256(paths[name]) for name in EXPORTS)
    return AccuracyTable(
        name="nb201",
        limits=EXPORTS_LIMITS,
        source_sha256=hashlib.sha256(checksums.encode()).hexdigest(),
        columns=columns,
        views={
            dataset: View(
                search=Column("cifar10-valid" if dataset == "cifar10" else dataset, 12, "valid", "mean"),
                report=Column(dataset, 200, "test", "mean"),
            )
            for dataset in _DATASETS
        },
        official=official,
    )


def _read(path: Path, reader: Callable[[IO[bytes]], T]) -> T:
    try:
        with path.open("rb") as file:
            return reader(file)
    except ImportFailed as error:
        raise ImportFailed(f"{path}: {error}") from error
    except (AttributeError, LookupError, TypeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ImportFailed(f"{path} is not the export {path.name}: {error}") from error


def _means(file: IO[bytes]) -> tuple[_Columns, NDArray[np.int32]]:
    """Mean test accuracies after 200 epochs, and the official index, which is the order of the lines."""
    lines = csv.reader(file.read().decode().splitlines())
    header = next(lines)
    expected = [
        "CIFAR10TestAccuracy200Epochs",
        "CIFAR100TestAccuracy200Epochs",
        "ImageNetTestAccuracy200Epochs",
    ]
    if header[:4] != [*expected, "ArchitectureString"]:
        raise ImportFailed(f"its first line is {header}, not the names of the known columns")
    rows = list(lines)
    ranks = _ranks([Cell.parse(row[3]) for row in rows])
    columns = {}
    for place, dataset in enumerate(_DATASETS):
        values = np.empty(N_CELLS)
        values[ranks] = [float(row[place]) for row in rows]
        columns[Column(dataset, 200, "test", "mean")] = values
    official = np.empty(N_CELLS, dtype=np.int32)
    official[ranks] = np.arange(N_CELLS)
    return columns, official


def _rebuild_array(_kind: Any, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    return np.ndarray(shape, dtype)


def _read_array(buffer: bytes, dtype: Any, shape: tuple[int, ...], order: Any) -> NDArray[Any]:
    return np.frombuffer(buffer, dtype=dtype).reshape(shape, order=order)


class _Index:
    """Stands for a pandas index; keeps what it was made from."""

    def __init__(self, parts: dict[str, Any]) -> None:
        self.parts = parts


class _Blocks:
    """Stands for a pandas block manager; keeps its state."""

    def __setstate__(self, state: Any) -> None:
        self.state = state


_FRAME: Final = MappingProxyType(
    {
        ("pandas.core.frame", "DataFrame"): Record,
        ("pandas.core.internals.managers", "BlockManager"): _Blocks,
        ("pandas.core.indexes.base", "_new_Index"): lambda _kind, parts: _Index(parts),
        ("pandas.core.indexes.base", "Index"): _Index,
        ("pandas.core.indexes.range", "RangeIndex"): _Index,
        ("numpy.core.multiarray", "_reconstruct"): _rebuild_array,
        ("numpy.core.numeric", "_frombuffer"): _read_array,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("builtins", "slice"): slice,
    }
)


def _twelve_epochs(file: IO[bytes]) -> _Columns:
    """The 12-epoch run: a data frame, read without pandas, whose own layout of it changes."""
    frame = unpickle(file, _FRAME)._data.state[-1]["0.14.1"]
    names = list(frame["axes"][0].parts["data"])
    by_name: dict[str, NDArray[Any]] = {}
    for block in frame["blocks"]:
        by_name |= dict(zip(names[block["mgr_locs"]], block["values"], strict=True))
    ranks = _ranks([Cell.parse(text) for text in by_name["cellstr"]])
    columns = {}
    for dataset, name in zip(_DATASETS, ("cifar10", "cifar100", "imagenet"), strict=True):
        valid = "cifar10-valid" if dataset == "cifar10" else dataset  # the training that held images back
        for column, values in (
            (Column(valid, 12, "valid", "mean"), by_name[f"{name}-val"]),
            (Column(dataset, 12, "test", "mean"), by_name[f"{name}-test"]),
        ):
            columns[column] = np.empty(N_CELLS)
            columns[column][ranks] = values
    return columns


def _single_seed(file: IO[bytes]) -> _Columns:
    """What the file calls `val_accuracy`: the test accuracy of one seed after 200 epochs.

    For CIFAR-10 it is of the training that held 25,000 images back.
    """
    encoding = ENCODINGS["naslib"]
    rows: dict[str, list[tuple[Cell, float]]] = {dataset: [] for dataset in _DATASETS}
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            if not name.endswith(".json"):
                continue
            dataset = name.split("--")[2]
            for entry in json.loads(archive.read(name)):
                codes = [int(code) for code in entry["arch"].strip("()").split(",")]
                rows[dataset].append((encoding.cell(codes), float(entry["val_accuracy"])))
    columns = {}
    for dataset in _DATASETS:
        values = np.empty(N_CELLS)
        values[_ranks([cell for cell, _ in rows[dataset]])] = [value for _, value in rows[dataset]]
        training = "cifar10-valid" if dataset == "cifar10" else dataset
        columns[Column(training, 200, "test", "single")] = values
    return columns


def _cifar10_seeds(file: IO[bytes]) -> _Columns:
    """CIFAR-10 test accuracy after 200 epochs, one to three runs of a cell.

    The file does not name the seeds. They come in the order 777, 888, 999 wherever an official record lets
    one check, and the benchmark trained a later seed only after the earlier ones.
    """
    encoding = ENCODINGS["meco"]
    by_codes = unpickle(file, {})
    ranks = _ranks([encoding.cell(codes) for codes in by_codes])
    values = np.full((len(_SEEDS), N_CELLS), np.nan)
    for rank, runs in zip(ranks.tolist(), by_codes.values(), strict=True):
        if not 1 <= len(runs) <= len(_SEEDS):
            raise ImportFailed(f"a cell has {len(runs)} runs; it takes 1 to {len(_SEEDS)}")
        values[: len(runs), rank] = runs
    return {Column("cifar10", 200, "test", seed): values[place] for place, seed in enumerate(_SEEDS)}


def _ranks(cells: list[Cell]) -> NDArray[np.intp]:
    """Places of `cells`, which must be all cells once each."""
    ranks = np.array([cell.rank for cell in cells], dtype=np.intp)
    present = len(np.unique(ranks))
    if present != N_CELLS:
        raise ImportFailed(f"it lacks {N_CELLS - present} of {N_CELLS} cells")
    if len(ranks) != N_CELLS:
        raise ImportFailed(f"it holds {len(ranks) - N_CELLS} cells twice")
    return ranks


def _compare_seeds_with_mean(columns: _Columns, paths: Mapping[str, Path]) -> None:
    """Of three listed runs the mean must be the one given; 2,416 cells list fewer than it covers."""
    seeds = np.stack([columns[Column("cifar10", 200, "test", seed)] for seed in _SEEDS])
    gap = np.abs(
        seeds.mean(axis=0) - columns[Column("cifar10", 200, "test", "mean")]
    )  # NaN: fewer than three
    differing = int((gap > 1e-6).sum())
    if differing:
        raise ImportFailed(
            f"{paths[EXPORTS[0]]} and {paths[EXPORTS[3]]} disagree on the CIFAR-10 accuracy of {differing} "
            "cells; fetch both anew"
        )
