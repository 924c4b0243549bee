"""Training units: one cell, trained once with a recipe and a seed, and stored as one record.

DIR/CELL@DATASET@RECIPE@SEED.parquet      the record, written after every epoch
DIR/….checkpoint.safetensors              the checkpoint, during training
DIR/….weights.safetensors                 the final weights
"""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from torch import nn

from nasgauge.harness.network import Skeleton, build_network, freeze_unused
from nasgauge.harness.records.recipes import Recipe
from nasgauge.harness.records.trainings import TrainingHeader, TrainingRecord, read
from nasgauge.harness.training.feeding import weights_generator
from nasgauge.spaces.architectures import Architecture, short_name
from nasgauge.spaces.errors import NasgaugeError


class OtherTraining(NasgaugeError, ValueError):
    """Raised when a record belongs to another training than the requested one."""


class DataIdentity(NamedTuple):
    """What tells the images of a training, and how they are split, from others of the same name."""

    splits: str
    """`official` or `seeded`."""
    images_sha256: str


@dataclass(frozen=True)
class TrainingUnit:
    """An architecture with the dataset, recipe and seed of its training.

    >>> from nasgauge.harness.records.recipes import RECIPES
    >>> from nasgauge.spaces.cells import Cell
    >>> TrainingUnit(Cell(("skip_connect",) * 6), "cifar10-valid", RECIPES["nb201-12"], 777).name
    '111111@cifar10-valid@nb201-12@777'
    """

    cell: Architecture
    dataset: str
    recipe: Recipe
    seed: int

    @property
    def name(self) -> str:
        """Base name of the files: `short_name` of the architecture, dataset, recipe, seed."""
        return f"{short_name(self.cell)}@{self.dataset}@{self.recipe.name}@{self.seed}"

    def record(self, folder: Path) -> Path:
        """Path of the training record."""
        return folder / f"{self.name}.parquet"

    def checkpoint(self, folder: Path) -> Path:
        """Path of the checkpoint."""
        return folder / f"{self.name}.checkpoint.safetensors"

    def weights(self, folder: Path) -> Path:
        """Path of the final weights."""
        return folder / f"{self.name}.weights.safetensors"

    def finished(self, folder: Path, data: DataIdentity | None = None) -> TrainingRecord | None:
        """The training record if it is finished, otherwise None.

        Raises DamagedTraining, and OtherTraining, also for a training on other images or splits than these.
        """
        path = self.record(folder)
        record = read(path) if path.is_file() else None
        if record is not None and self._differs(record.header):
            raise OtherTraining(
                f"{path} is the record of {record.header.cell} with {record.header.recipe}, seed "
                f"{record.header.seed}, on {record.header.dataset}; give another folder"
            )
        if record is not None and data is not None and data.splits != record.header.splits:
            raise OtherTraining(
                f"{path} is the record of a training on {record.header.splits} splits, here they are {data.splits}; "
                "give another folder"
            )
        if record is None or not record.finished:
            return None
        if data is not None and data.images_sha256 != record.header.images_sha256:
            raise OtherTraining(f"{path} is the record of a training on other images; give another folder")
        return record

    def epochs_done(self, folder: Path) -> int:
        """Number of epochs in the training record, 0 without a record."""
        path = self.record(folder)
        return len(read(path).epochs) if path.is_file() else 0

    @property
    def identity(self) -> dict[str, str]:
        """What the weights of this unit must have in common with those of a file."""
        values = sha256(str(self.recipe).encode()).hexdigest()[:8]
        return {"cell": str(self.cell), "dataset": self.dataset, "recipe": f"{self.recipe.name} ({values})"}

    def _differs(self, header: TrainingHeader) -> bool:
        ours = (str(self.cell), self.dataset, self.recipe, self.seed)
        return (header.cell, header.dataset, header.recipe, header.seed) != ours

    def network(self, classes: int, side: int) -> nn.Module:
        """The network that is trained, with its first weights, for images of `side` pixels."""
        skeleton = skeleton_of(self.recipe, classes, side)
        network = build_network(self.cell, skeleton, weights_generator(self.seed), self.recipe.initialisation)
        freeze_unused(network, side)
        return network


def skeleton_of(recipe: Recipe, classes: int, side: int) -> Skeleton:
    """The macro structure of the network that a recipe trains, for images of `side` pixels.

    >>> skeleton_of(Recipe(name="example", epochs=1, channels=48, cells=3), classes=10, side=32).channels
    48
    """
    return Skeleton(
        channels=recipe.channels,
        cells=recipe.cells,
        classes=classes,
        side=side,
        stem_channels=recipe.stem_channels,
        auxiliary=recipe.auxiliary > 0,
        drop_path=recipe.drop_path,
        dropout=recipe.dropout,
        norm_momentum=recipe.norm_momentum,
    )
