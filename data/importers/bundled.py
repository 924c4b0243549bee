"""The figures of the installed package `analog-nasbench` (arXiv 2506.18495)."""

import importlib.metadata
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np

from nasgauge.data.importers.pickles import ImportFailed, Record, unpickle
from nasgauge.data.published import sha256
from nasgauge.data.tables import AccuracyTable, Column, View
from nasgauge.spaces.cells import ENCODINGS, N_CELLS
from nasgauge.spaces.errors import missing

_ANALOG: Final = MappingProxyType(
    {
        ("analognasbench.data", "Architecture"): Record,
        ("analognasbench.data", "DriftMeasurement"): Record,
    }
)
BUNDLED_LIMITS: Final = (
    "one CIFAR-10 test accuracy for each cell from one training; no validation accuracy, no second fidelity, "
    "no seeds, no times, no other dataset"
)


def bundled_path() -> Path:
    """Where the installed package `analog-nasbench` keeps its data; nothing of it is imported.

    Raises MissingExtra, ImportFailed.
    """
    try:
        files = importlib.metadata.files("analog-nasbench") or []
    except importlib.metadata.PackageNotFoundError:
        raise missing("analog-nasbench") from None
    for file in files:
        if file.parts == ("analognasbench", "data.anb"):
            return Path(str(file.locate()))
    raise ImportFailed(
        "package analog-nasbench holds no data.anb; run: pip install --force-reinstall analog-nasbench"
    )


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
