"""The record of one training: how to get it again, and what every epoch brought.

One parquet file is one cell, trained once; a row is an epoch. It is written anew, whole, after each epoch,
so it can be read while the training goes on; it is finished when it has all epochs of its recipe.
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
    """A file that is no record of a training, or one of another training."""


class TrainingHeader(BaseModel):
    """How to get a training again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    cell: str
    dataset: str
    splits: str
    """Whose splits: `official` index lists, or `seeded` where those were not at hand."""
    images_sha256: str
    """Of the training images and labels."""
    recipe: Recipe
    seed: int
    device: str
    threads: int
    precision: str
    initialisation: str = "default"
    parameters: int
    argv: tuple[str, ...]
    commit: str
    versions: dict[str, str]


class Epoch(NamedTuple):
    """What one epoch brought. Accuracies are percent, losses are cross-entropy in nats; NaN: not evaluated."""

    epoch: int
    """Counted from 1."""
    learning_rate: float
    train_loss: float
    """Mean over the epoch's augmented images, while the weights change."""
    train_accuracy: float
    valid_loss: float
    valid_accuracy: float
    test_loss: float
    test_accuracy: float
    images_per_second: float
    """Of training alone, evaluation left out."""
    seconds: float
    """Of the whole epoch, evaluation included."""
    peak_memory: float
    """Bytes on the device; of the process on a CPU."""


@dataclass(frozen=True)
class TrainingRecord:
    """A training, finished or under way."""

    header: TrainingHeader
    epochs: tuple[Epoch, ...]

    @property
    def finished(self) -> bool:
        """Whether all epochs of the recipe are done."""
        return len(self.epochs) == self.header.recipe.epochs


def write(path: Path, header: TrainingHeader, epochs: Sequence[Epoch]) -> None:
    """Write a record, which appears whole or not at all."""
    types = [pa.int32(), *[pa.float64()] * (len(Epoch._fields) - 1)]
    columns = {
        name: pa.array([getattr(epoch, name) for epoch in epochs], kind)
        for name, kind in zip(Epoch._fields, types, strict=True)
    }
    table = pa.table(columns).replace_schema_metadata({_HEADER: header.model_dump_json().encode()})
    with replacing(path) as file:
        pq.write_table(table, file, compression="zstd")


def read(path: Path) -> TrainingRecord:
    """Open the record of a training.

    Raises DamagedTraining.
    """
    try:
        table = pq.read_table(path, memory_map=False, partitioning=None)
        header = TrainingHeader.model_validate_json(table.schema.metadata[_HEADER])
        columns = [table[name].to_pylist() for name in Epoch._fields]
    except (OSError, KeyError, TypeError, ValueError, ValidationError, pa.ArrowException) as error:
        why = str(error).splitlines()[0]
        raise DamagedTraining(
            f"{path} is no whole record of a training ({why}); remove it to train this cell again"
        ) from error
    epochs = tuple(Epoch(*row) for row in zip(*columns, strict=True))
    if header.format != FORMAT or [epoch.epoch for epoch in epochs] != list(range(1, len(epochs) + 1)):
        raise DamagedTraining(f"{path} has another format, or lacks an epoch; remove it to train again")
    return TrainingRecord(header, epochs)
