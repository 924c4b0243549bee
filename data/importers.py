"""Foreign files to `AccuracyTable`; the only module that opens pickles.

Every unpickler here builds classes from a list of allowed names and nothing else, so a foreign file can
neither run code nor bring in a class.
"""

import codecs
import hashlib
import importlib.metadata
import pickle
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from data.tables import N_CELLS, AccuracyTable, Column, View
from harness.cells import ENCODINGS


class ImportFailed(ValueError):
    """A foreign file that is not what it should be."""


class _Record:
    """Stands for any plain class of a foreign file: attributes, no behaviour."""


class _Whitelist(pickle.Unpickler):
    def __init__(self, file: IO[bytes], allowed: Mapping[tuple[str, str], Any], encoding: str) -> None:
        super().__init__(file, encoding=encoding)
        self._allowed = allowed

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._allowed[module, name]
        except KeyError:
            raise ImportFailed(
                f"it asks for {module}.{name}, which no such file needs; it is not opened"
            ) from None


def unpickle(file: IO[bytes], allowed: Mapping[tuple[str, str], Any], *, encoding: str = "ASCII") -> Any:
    """Read a pickle in which only `allowed` (module, name) pairs may be named.

    `encoding` is how the texts of Python 2 are read.

    Raises ImportFailed for any other class and for a file that is no whole pickle.
    """
    try:
        return _Whitelist(file, allowed, encoding).load()
    except ImportFailed:
        raise
    except Exception as error:  # a malformed pickle raises nearly anything
        raise ImportFailed(f"it does not read as a pickle: {error}") from error


_ANALOG: Final = MappingProxyType(
    {
        ("analognasbench.data", "Architecture"): _Record,
        ("analognasbench.data", "DriftMeasurement"): _Record,
    }
)
BUNDLED_LIMITS: Final = (
    "one CIFAR-10 test accuracy for each cell from one training; no validation figure, no second fidelity, "
    "no seeds, no times, no other dataset"
)


def bundled_path() -> Path:
    """Where the installed package `analog-nasbench` keeps its data; nothing of it is imported.

    Raises ImportFailed.
    """
    try:
        files = importlib.metadata.files("analog-nasbench") or []
    except importlib.metadata.PackageNotFoundError:
        raise ImportFailed(
            "package analog-nasbench is not installed; run: pip install analog-nasbench"
        ) from None
    for file in files:
        if file.parts == ("analognasbench", "data.anb"):
            return Path(str(file.locate()))
    raise ImportFailed("package analog-nasbench holds no data.anb; run: pip install --force-reinstall analog-nasbench")


def import_bundled(path: Path) -> AccuracyTable:
    """The digital CIFAR-10 accuracies of AnalogNAS-Bench (arXiv 2506.18495), one for each cell.

    Raises ImportFailed.
    """
    encoding = ENCODINGS["analog-nasbench"]
    column = Column("cifar10", None, "test", "single")
    accuracy = np.full(N_CELLS, np.nan)
    try:
        with path.open("rb") as file:
            records = unpickle(file, _ANALOG)
        for codes, record in records.items():
            accuracy[encoding.cell(codes).rank] = record.baseline_accuracy
    except ImportFailed as error:
        raise ImportFailed(f"{path}: {error}") from error
    except (AttributeError, TypeError, ValueError) as error:
        raise ImportFailed(f"{path} is not AnalogNAS-Bench's data: {error}") from error
    missing = int(np.isnan(accuracy).sum())
    if missing:
        raise ImportFailed(f"{path} lacks {missing} of {N_CELLS} cells")
    return AccuracyTable(
        name="bundled",
        limits=BUNDLED_LIMITS,
        source_sha256=sha256(path),
        columns={column: accuracy},
        views={"cifar10": View(search=column, report=column)},
    )


_CIFAR: Final = MappingProxyType(
    {
        ("numpy.core.multiarray", "_reconstruct"): np.zeros(0).__reduce__()[0],
        ("numpy._core.multiarray", "_reconstruct"): np.zeros(0).__reduce__()[0],
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): codecs.encode,
    }
)


def import_cifar_batch(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (N, 3, 32, 32) and labels (N,) of one of CIFAR-10's python batches.

    Raises ImportFailed.
    """
    try:
        with path.open("rb") as file:
            batch = unpickle(file, _CIFAR, encoding="bytes")
        pixels = np.asarray(batch[b"data"], dtype=np.uint8).reshape(-1, 3, 32, 32)
        labels = np.asarray(batch[b"labels"], dtype=np.int64)
    except ImportFailed as error:
        raise ImportFailed(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise ImportFailed(f"{path} is no python batch of CIFAR-10: {error}") from error
    if len(labels) != len(pixels):
        raise ImportFailed(f"{path} holds {len(pixels)} images and {len(labels)} labels")
    return pixels, labels


def sha256(path: Path) -> str:
    """Checksum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
