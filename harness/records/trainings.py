"""Training records: the metrics of every epoch of a training, with the information needed to reproduce it.

A parquet file holds one training of one cell, with one row per epoch. It is rewritten atomically after every epoch, so
it can be read during training. It is finished when it has all epochs of its recipe.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from nasgauge.data.atomic import replacing
from nasgauge.harness.records.recipes import Recipe
from nasgauge.spaces.errors import NasgaugeError

FORMAT: Final = 1
_HEADER: Final = b"nasgauge-training"


class DamagedTraining(NasgaugeError, ValueError):
    """Raised for a file that is not a complete training record."""


class TrainingHeader(BaseModel):
    """Information to reproduce a training."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    cell: str
    dataset: str
    splits: str
    """`official` for the published index lists, `seeded` for splits drawn from a seed."""
    images_sha256: str
    """SHA-256 of the training images and labels."""
    recipe: Recipe
    seed: int
    device: str
    threads: int
    precision: str
    processes: int = 1
    """Processes of data-parallel training, on all nodes."""
    shares: int = 1
    """Shares of a batch whose gradients a process accumulates."""
    compiled: bool = False
    skipped: tuple[str, ...] = ()
    """Image files that were left out because they are damaged."""
    initialisation: str = "default"
    parameters: int
    argv: tuple[str, ...]
    commit: str
    versions: dict[str, str]


class Epoch(NamedTuple):
    """Metrics of one epoch.

    Accuracies are in percent, losses are cross-entropy in nats, and NaN means not evaluated.

    >>> metrics = Epoch(1, 0.1, 2.3, 10.0, 2.2, 12.0, float("nan"), float("nan"), 900.0, 30.0, 1e9)
    >>> metrics.valid_accuracy
    12.0
    """

    epoch: int
    """Counted from 1."""
    learning_rate: float
    train_loss: float
    """Mean over the augmented images of the epoch, while the weights are updated."""
    train_accuracy: float
    valid_loss: float
    valid_accuracy: float
    test_loss: float
    test_accuracy: float
    images_per_second: float
    """Training throughput, without evaluation."""
    seconds: float
    """Wall time of the epoch, including evaluation."""
    peak_memory: float
    """Peak memory in bytes: of the device on a GPU, of the process on a CPU."""
    valid_top5: float = float("nan")
    """Share of images whose class is among the five best, in percent."""
    test_top5: float = float("nan")


@dataclass(frozen=True)
class TrainingRecord:
    """A training record, finished or not."""

    header: TrainingHeader
    epochs: tuple[Epoch, ...]

    @property
    def finished(self) -> bool:
        """Whether all epochs of the recipe are done."""
        return len(self.epochs) == self.header.recipe.epochs


def write(path: Path, header: TrainingHeader, epochs: Sequence[Epoch]) -> None:
    """Write a training record atomically.

    >>> import tempfile
    >>> from nasgauge.harness.records.recipes import RECIPES
    >>> header = TrainingHeader(
    ...     cell="a cell", dataset="cifar10-valid", splits="official", images_sha256="", recipe=RECIPES["nb201-12"],
    ...     seed=777, device="cpu", threads=1, precision="32", parameters=1000, argv=(), commit="", versions={},
    ... )
    >>> metrics = Epoch(1, 0.1, 2.3, 10.0, 2.2, 12.0, float("nan"), float("nan"), 900.0, 30.0, 1e9)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(Path(folder) / "record.parquet", header, [metrics])
    ...     record = read(Path(folder) / "record.parquet")
    >>> len(record.epochs), record.finished
    (1, False)
    """
    types = [pa.int32(), *[pa.float64()] * (len(Epoch._fields) - 1)]
    columns = {
        name: pa.array([getattr(epoch, name) for epoch in epochs], kind)
        for name, kind in zip(Epoch._fields, types, strict=True)
    }
    table = pa.table(columns).replace_schema_metadata({_HEADER: header.model_dump_json().encode()})
    with replacing(path) as file:
        pq.write_table(table, file, compression="zstd")


def read(path: Path) -> TrainingRecord:
    """Read a training record.

    Raises DamagedTraining.

    >>> read(Path("nothing.parquet"))
    Traceback (most recent call last):
    ...
    nasgauge.harness.records.trainings.DamagedTraining: nothing.parquet is not a complete training record \
(nothing.parquet); remove it to train this cell again
    """
    try:
        table = pq.read_table(path, memory_map=False, partitioning=None)
        header = TrainingHeader.model_validate_json(table.schema.metadata[_HEADER])
        fields = [
            name for name in Epoch._fields if name not in Epoch._field_defaults or name in table.column_names
        ]
        columns = [table[name].to_pylist() for name in fields]
    except (OSError, KeyError, TypeError, ValueError, ValidationError, pa.ArrowException) as error:
        why = str(error).splitlines()[0]
        raise DamagedTraining(
            f"{path} is not a complete training record ({why}); remove it to train this cell again"
        ) from error
    epochs = tuple(Epoch(**dict(zip(fields, row, strict=True))) for row in zip(*columns, strict=True))
    if header.format != FORMAT or [epoch.epoch for epoch in epochs] != list(range(1, len(epochs) + 1)):
        raise DamagedTraining(
            f"{path} has another format, or an epoch is missing; remove it to train this cell again"
        )
    return TrainingRecord(header, epochs)
