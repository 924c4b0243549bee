"""Training records: the metrics of every epoch of a training, with the information needed to reproduce it.

    DIR/NAME.parquet             a row for each epoch, and a header
    DIR/measured/NAME.parquet    what was measured meanwhile: seconds, memory, host, command line, versions

A file holds one training of one cell. It is rewritten atomically after every epoch, so it can be read during training.
It is finished when it has all epochs of its recipe. On a CPU the first one has the same bytes for the same seed, number
of threads and packages; its header carries a digest of all that it says.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from nasgauge.data.sealed import Damaged, Sealed, read_sealed, with_measured, write_sealed
from nasgauge.harness.records.recipes import Recipe
from nasgauge.spaces.errors import ELSEWHERE, NasgaugeError

FORMAT: Final = 2
_ABOUT: Final = frozenset({"argv", "commit", "versions", "host"})
_TIMED: Final = ("images_per_second", "seconds", "peak_memory")


class DamagedTraining(NasgaugeError, ValueError):
    """Raised for a file that is not a complete training record."""


class TrainingHeader(BaseModel):
    """Information to reproduce a training."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    """Version of the format."""
    cell: str
    """Text of the cell or genotype."""
    dataset: str
    """Name of the dataset and of its training part."""
    splits: str
    """`official` for the published index lists, `seeded` for splits drawn from a seed."""
    images_sha256: str
    """SHA-256 of the training images and labels; for `imagenet`, of the names of the files."""
    classes: int = 0
    """Number of classes; 0 in a record of a version that did not keep it."""
    recipe: Recipe
    """Every setting of the training."""
    seed: int
    """Seed of weights, order and augmentation."""
    device: str
    """Type of the device: `cpu`, `cuda`."""
    threads: int
    """Threads of a process on a CPU."""
    precision: str
    """Of the arithmetic: `32`, `bf16` or `16`."""
    processes: int = 1
    """Processes of data-parallel training, on all nodes."""
    shares: int = 1
    """Shares of a batch whose gradients a process accumulates."""
    compiled: bool = False
    """Whether `torch.compile` was used."""
    skipped: tuple[str, ...] = ()
    """Image files that were left out because they are damaged."""
    initialisation: str = "default"
    """How weights were drawn; `default` is that of PyTorch."""
    parameters: int
    """Number of parameters that are trained, those of an auxiliary head included."""
    argv: tuple[str, ...] = ()
    """The command line; empty, as the next three, if the file of what was measured is lost."""
    commit: str = ""
    """Commit of the program, where it runs from a checkout."""
    versions: dict[str, str] = {}
    """Versions of Python and of the packages that matter."""
    host: str = ""
    """Name of the machine."""


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
    """At the beginning of the epoch, by the recipe."""
    train_loss: float
    """Mean over the augmented images of the epoch, while the weights are updated."""
    train_accuracy: float
    """Of the same images, likewise."""
    valid_loss: float
    """On the validation images, at the end of the epoch."""
    valid_accuracy: float
    """Likewise."""
    test_loss: float
    """On the test images, at the end of the epoch."""
    test_accuracy: float
    """Likewise."""
    images_per_second: float
    """Training throughput, without evaluation."""
    seconds: float
    """Wall time of the epoch, including evaluation."""
    peak_memory: float
    """Peak memory in bytes: of the device on a GPU, of the process on a CPU."""
    valid_top5: float = float("nan")
    """Share of images whose class is among the five best, in percent."""
    test_top5: float = float("nan")
    """The same on the test images."""


@dataclass(frozen=True)
class TrainingRecord:
    """A training record, finished or not."""

    header: TrainingHeader
    epochs: tuple[Epoch, ...]
    lost: str = ""
    """Why the file of what was measured was not used; empty if it was, or if there is none."""

    @property
    def finished(self) -> bool:
        """Whether all epochs of the recipe are done."""
        return len(self.epochs) == self.header.recipe.epochs


def write(path: Path, header: TrainingHeader, epochs: Sequence[Epoch]) -> None:
    """Write a training record and what was measured, each atomically.

    >>> import tempfile
    >>> from nasgauge.harness.records.recipes import RECIPES
    >>> header = TrainingHeader(
    ...     cell="a cell", dataset="cifar10-valid", splits="official", images_sha256="", recipe=RECIPES["nb201-12"],
    ...     seed=777, device="cpu", threads=1, precision="32", parameters=1000,
    ... )
    >>> metrics = Epoch(1, 0.1, 2.3, 10.0, 2.2, 12.0, float("nan"), float("nan"), 900.0, 30.0, 1e9)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(Path(folder) / "record.parquet", header, [metrics])
    ...     record = read(Path(folder) / "record.parquet")
    >>> len(record.epochs), record.finished
    (1, False)
    """
    figures = np.array(epochs, dtype=np.float64).reshape(-1, len(Epoch._fields))
    columns = {name: values.copy() for name, values in zip(Epoch._fields, figures.T, strict=True)}
    write_sealed(
        path,
        Sealed(
            header.model_dump(mode="json", exclude=set(_ABOUT)),
            {name: values for name, values in columns.items() if name not in _TIMED},
            about=header.model_dump(mode="json", include=set(_ABOUT)),
            measured={name: columns[name] for name in _TIMED},
        ),
    )


def read(path: Path) -> TrainingRecord:
    """Read a training record and verify its digest; without a file of what was measured that fits, that is NaN.

    Raises DamagedTraining.

    >>> read(Path("nothing.parquet"))
    Traceback (most recent call last):
    ...
    nasgauge.harness.records.trainings.DamagedTraining: nothing.parquet cannot be read (No such file or directory); \
give another path
    """
    remedy = "remove it to train this cell again"
    try:
        pair = with_measured(path, read_sealed(path, FORMAT, remedy))
        header = TrainingHeader.model_validate({**pair.header, **pair.about})
        unknown = np.full(len(pair.columns["epoch"]), np.nan)
        known = {**pair.columns, **dict.fromkeys(_TIMED, unknown), **pair.measured}
        fields = [name for name in Epoch._fields if name not in Epoch._field_defaults or name in known]
        columns = [known[name].tolist() for name in fields]
    except (Damaged, ValidationError, KeyError) as error:
        why = str(error) if isinstance(error, Damaged) else f"{path} is no training record; {ELSEWHERE}"
        raise DamagedTraining(why) from error
    rows = (dict(zip(fields, row, strict=True)) for row in zip(*columns, strict=True))
    epochs = tuple(Epoch(**{**row, "epoch": int(row["epoch"])}) for row in rows)
    if [epoch.epoch for epoch in epochs] != list(range(1, len(epochs) + 1)):
        raise DamagedTraining(f"{path} lacks an epoch; {remedy}")
    return TrainingRecord(header, epochs, pair.lost)
