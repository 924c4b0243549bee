"""The table `hw` of latency and energy: HW-NAS-Bench's (Li et al., 2021), six devices, three datasets, all cells."""

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasgauge.data.atomic import replacing
from nasgauge.data.tables import DamagedTable
from nasgauge.spaces.cells import N_CELLS

FORMAT: Final = 1
ABOUT: Final = (
    "HW-NAS-Bench (Li et al., 2021): latency on six devices and energy on three of all 15,625 cells, on three datasets; for "
    "objectives and constraints, not to search on"
)
DATASETS: Final = ("cifar10", "cifar100", "ImageNet16-120")


class Measure(NamedTuple):
    """A column of the table.

    >>> str(Measure.parse("cifar10/latency/edgegpu"))
    'cifar10/latency/edgegpu'
    """

    dataset: str
    quantity: str
    device: str

    @classmethod
    def parse(cls, text: str) -> "Measure":
        """Read `cifar10/latency/edgegpu`."""
        dataset, quantity, device = text.split("/")
        return cls(dataset, quantity, device)

    def __str__(self) -> str:
        return "/".join(self)


@dataclass(frozen=True, kw_only=True)
class HardwareTable:
    """Latency in milliseconds and energy in millijoules of all cells.

    >>> from nasgauge.data.shipped import HARDWARE
    >>> table = HARDWARE.open()
    >>> len(table.columns), table.columns[Measure("cifar10", "latency", "edgegpu")].max().round(3)
    (27, np.float64(11.693))
    """

    name: str = "hw"
    columns: Mapping[Measure, NDArray[np.float64]]
    """Each (15625,) by `Cell.rank`; NaN where the device cannot run the cell."""
    sha256: str = field(init=False)
    """Checksum of the contents."""

    def __post_init__(self) -> None:
        for measure, values in self.columns.items():
            if values.shape != (N_CELLS,):
                raise ValueError(f"{measure} has shape {values.shape}; it takes one value for each cell")
        digest = hashlib.sha256(self.name.encode())
        for measure in sorted(self.columns):
            digest.update(str(measure).encode())
            digest.update(np.ascontiguousarray(self.columns[measure], dtype="<f8").data)
        object.__setattr__(self, "sha256", digest.hexdigest())

    def save(self, path: Path) -> None:
        """Write the table to an uncompressed `.npz` file, which appears complete or not at all."""
        header = {
            "format": FORMAT,
            "name": self.name,
            "sha256": self.sha256,
            "columns": [*map(str, self.columns)],
        }
        figures = np.stack([*self.columns.values()])
        with replacing(path) as file:
            np.savez(file, allow_pickle=False, header=np.array(json.dumps(header)), figures=figures)

    @classmethod
    def read(cls, opened: IO[bytes], path: Path) -> "HardwareTable":
        """Read the table and check its contents; `path` is for messages.

        Raises DamagedTable.
        """
        try:
            with np.load(opened, allow_pickle=False) as file:
                header = json.loads(str(file["header"]))
                figures = file["figures"]
            figures.flags.writeable = False  # a table is a value
            table = cls(
                name=header["name"],
                columns=dict(zip(map(Measure.parse, header["columns"]), figures, strict=True)),
            )
            if (header["format"], header["sha256"]) != (FORMAT, table.sha256):
                raise ValueError("its contents do not have the checksum that it was saved with")
        except (KeyError, TypeError, ValueError, EOFError, NotImplementedError, zipfile.BadZipFile) as error:
            raise DamagedTable(f"table file {path} is damaged ({error}); make it again") from error
        return table
