"""TransNAS-Bench-101's micro space (Duan et al., 2021), from an export of NASLib, to the table `transnas`."""

import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nasgauge.data.columns import Column, View
from nasgauge.data.importers.pickles import ImportFailed
from nasgauge.data.published import sha256
from nasgauge.data.tables import AccuracyTable
from nasgauge.spaces.cells import EDGES, ENCODINGS, N_CELLS, Cell
from nasgauge.spaces.nb201 import TransNAS

TASKS: Final = (
    "class_object",
    "class_scene",
    "jigsaw",
    "room_layout",
    "segmentsemantic",
    "normal",
    "autoencoder",
)
"""The seven tasks, as the benchmark names them."""

LIMITS: Final = (
    "one validation figure for each cell and task, which is search metric and reported figure in one: no test split, "
    "no seeds, no seconds; percent for class_object, class_scene, jigsaw and segmentsemantic, 100 times the structural "
    "similarity for normal and autoencoder, -100 times the loss for room_layout"
)
_SCALES: Final = {"room_layout": 100.0, "normal": 100.0, "autoencoder": 100.0}  # the loss is negative there
_MEMBER: Final = re.compile(r"zen/benchmark--transbench101_micro--(\w+)--\d+\.json")
_SIZE_LIMIT: Final = 10_000_000  # bytes of one member: 20 times the largest


def import_transnas(paths: Mapping[str, Path]) -> AccuracyTable:
    """The table `transnas`, from the path of `all_benchmarks_zen.zip`.

    Operations are 0 none, 1 skip, 2 convolution 1x1, 3 convolution 3x3, on the edges in the official order: of all
    orders only this one and its mirror image give all cells without a path from input to output the same figure.

    Raises ImportFailed.
    """
    (path,) = paths.values()
    figures: dict[str, NDArray[np.float64]] = {task: np.full(N_CELLS, np.nan) for task in TASKS}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                found = _MEMBER.fullmatch(member.filename)
                if found is None:
                    continue
                if member.file_size > _SIZE_LIMIT:
                    raise ImportFailed(f"{path}: {member.filename} is larger than any part of the export")
                for record in json.loads(archive.read(member)):
                    value = float(record["val_accuracy"])
                    figures[found[1]][_cell(record).rank] = value * _SCALES.get(found[1], 1.0)
    except (KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise ImportFailed(f"{path} is not the export {path.name}: {error!r}") from error
    inside = TransNAS().ranks
    for task, values in figures.items():
        missing = int(np.isnan(values[inside]).sum())
        if missing:
            raise ImportFailed(f"{path} lacks {missing} cells of {task}")
    columns = {Column(task, None, "valid", "single"): values for task, values in figures.items()}
    return AccuracyTable(
        name="transnas",
        space="transnas",
        limits=LIMITS,
        source_sha256=sha256(path),
        columns=columns,
        views={column.dataset: View(column, column) for column in columns},
    )


def _cell(record: Mapping[str, Any]) -> Cell:
    codes = [int(code) for code in re.findall(r"\d+", record["arch"])]
    if len(codes) != len(EDGES) or max(codes) > 3:
        raise ImportFailed(f"{record['arch']!r} is not a cell of the space")
    return ENCODINGS["meco"].cell(codes)
