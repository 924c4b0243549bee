"""Training units: one cell, trained once with a recipe and a seed, and stored as one record.

    DIR/CELL@DATASET@RECIPE@SEED.parquet      the record, written after every epoch
    DIR/….checkpoint.safetensors              the checkpoint, during training
    DIR/….weights.safetensors                 the final weights

A unit with a finished record is not trained again. An interrupted unit resumes from its checkpoint with the same
images in the same order. On a CPU, with the same number of threads, its metrics equal those of an uninterrupted run.
"""

import hashlib
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from lightning_fabric import Fabric

from nasgauge.data.images import Splits
from nasgauge.harness.network import Skeleton, build_network, parameters
from nasgauge.harness.records.recipes import Recipe
from nasgauge.harness.records.trainings import Epoch, TrainingHeader, TrainingRecord, read, write
from nasgauge.harness.training.checkpoint import load_checkpoint, save_checkpoint
from nasgauge.harness.training.feeding import Augmenter, DeviceImages, weights_generator
from nasgauge.harness.training.loop import HeldOut, Training
from nasgauge.harness.training.machine import Machine
from nasgauge.spaces.architectures import Architecture, short_name
from nasgauge.spaces.errors import NasgaugeError


class OtherTraining(NasgaugeError, ValueError):
    """Raised when a record belongs to another training than the requested one."""


@dataclass(frozen=True)
class TrainingUnit:
    """A cell with the dataset, recipe and seed of its training.

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

    def finished(self, folder: Path) -> TrainingRecord | None:
        """The training record if it is finished, otherwise None.

        Raises DamagedTraining, OtherTraining.
        """
        path = self.record(folder)
        record = read(path) if path.is_file() else None
        if record is not None and self._differs(record.header):
            raise OtherTraining(
                f"{path} is the record of {record.header.cell} with {record.header.recipe}, seed "
                f"{record.header.seed}, on {record.header.dataset}; give another folder"
            )
        return record if record is not None and record.finished else None

    def epochs_done(self, folder: Path) -> int:
        """Number of epochs in the training record, 0 without a record."""
        path = self.record(folder)
        return len(read(path).epochs) if path.is_file() else 0

    def _differs(self, header: TrainingHeader) -> bool:
        ours = (str(self.cell), self.dataset, self.recipe, self.seed)
        return (header.cell, header.dataset, header.recipe, header.seed) != ours


class Loaded:
    """The images of a dataset on the device of a `Machine`, shared by successive trainings.

    Raises InvalidBatch, InvalidMachine.

    >>> from nasgauge.data.images import open_splits
    >>> loaded = Loaded(open_splits("made-up"), Machine(device="cpu", precision="32"))
    >>> len(loaded.train), sorted(loaded.held_out)
    (512, ['test', 'valid'])
    """

    def __init__(self, splits: Splits, machine: Machine) -> None:
        self.splits = splits
        self.machine = machine.resolved()
        self.fabric: Fabric = machine.fabric()
        self.train = self._put("train")
        self.held_out: Mapping[HeldOut, DeviceImages] = {
            name: self._put(name) for name in ("valid", "test") if getattr(splits, name) is not None
        }

    @cached_property
    def images_sha256(self) -> str:
        """SHA-256 of the training images and labels."""
        digest = hashlib.sha256(np.ascontiguousarray(self.splits.train.pixels).data)
        digest.update(np.ascontiguousarray(self.splits.train.labels, "<i8").data)
        return digest.hexdigest()

    def _put(self, part: str) -> DeviceImages:
        images = getattr(self.splits, part)
        device = self.fabric.device
        return DeviceImages.put(images.pixels, images.labels, self.splits.mean, self.splits.deviation, device)


def train_unit(
    folder: Path,
    unit: TrainingUnit,
    loaded: Loaded,
    provenance: Mapping[str, object],
    *,
    checkpoint_every: int = 1,
    evaluate_every: int = 1,
    on_epoch: Callable[[Epoch], None] = lambda _epoch: None,
    on_step: Callable[[float], None] = lambda _share: None,
) -> TrainingRecord:
    """Train a unit, or resume it from its checkpoint, and return its record.

    A finished unit is not trained again. Several processes may work in the same folder: one of them trains the unit and
    the others wait for it.

    `provenance` has the fields `argv`, `commit` and `versions` of the header. A checkpoint is written every
    `checkpoint_every` epochs. `on_epoch` is called with the metrics of each trained epoch. `on_step` is called after
    each step with its share of an epoch, and once with the number of epochs that are already done.

    Raises TrainingDiverged, WrongCheckpoint, OtherTraining, DamagedTraining.

    >>> import tempfile
    >>> from nasgauge.data.images import open_splits
    >>> from nasgauge.harness.records.provenance import provenance
    >>> loaded = Loaded(open_splits("made-up"), Machine(device="cpu", precision="32"))
    >>> from nasgauge.spaces.cells import Cell
    >>> recipe = Recipe(name="example", epochs=1, images=64, channels=2, cells=1)
    >>> unit = TrainingUnit(Cell(("skip_connect",) * 6), "made-up", recipe, 777)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     train_unit(Path(folder), unit, loaded, provenance()).finished
    True
    """
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / f"{unit.name}.checkpoint.safetensors"
    alone = loaded.fabric.is_global_zero
    lock = folder / f".{unit.name}.lock"
    with FileLock(lock) if alone else nullcontext():
        done = unit.finished(folder)
        if done is not None:
            on_step(len(done.epochs))
            return done
        header, training = _prepare(unit, loaded, provenance, evaluate_every)
        epochs: list[Epoch] = []
        if checkpoint.is_file() and unit.record(folder).is_file():
            tensors, behind = load_checkpoint(checkpoint, _identity(header))
            training.restore(tensors, behind)
            epochs = list(read(unit.record(folder)).epochs[:behind])
            on_step(len(epochs))
        for epoch in training.epochs(on_step):
            epochs.append(epoch)
            on_epoch(epoch)
            if alone:
                write(unit.record(folder), header, epochs)
                if epoch.epoch < unit.recipe.epochs and epoch.epoch % checkpoint_every == 0:
                    save_checkpoint(checkpoint, training.state(), _identity(header), epoch.epoch)
        if alone:
            weights = {name: value for name, value in training.state().items() if "momentum" not in name}
            kept = folder / f"{unit.name}.weights.safetensors"
            save_checkpoint(kept, weights, _identity(header), unit.recipe.epochs)
            checkpoint.unlink(missing_ok=True)
            lock.unlink(
                missing_ok=True
            )  # a process that waits for it, or creates it again, finds the finished record
    return TrainingRecord(header, tuple(epochs))


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


def _prepare(
    unit: TrainingUnit, loaded: Loaded, provenance: Mapping[str, object], evaluate_every: int
) -> tuple[TrainingHeader, Training]:
    recipe, splits = unit.recipe, loaded.splits
    skeleton = skeleton_of(recipe, splits.classes, recipe.side or splits.train.pixels.shape[-1])
    network = build_network(unit.cell, skeleton, weights_generator(unit.seed), recipe.initialisation)
    header = TrainingHeader.model_validate(
        {
            "cell": str(unit.cell),
            "dataset": unit.dataset,
            "splits": splits.origin,
            "images_sha256": loaded.images_sha256,
            "recipe": recipe,
            "seed": unit.seed,
            "device": loaded.fabric.device.type,
            "threads": torch.get_num_threads(),
            "precision": loaded.machine.precision,
            "initialisation": recipe.initialisation,
            "parameters": parameters(network),
            **provenance,
        }
    )
    feed = Augmenter(loaded.train, recipe, padding=splits.padding)
    training = Training(
        network,
        recipe,
        feed,
        loaded.held_out,
        loaded.fabric,
        seed=unit.seed,
        evaluate_every=evaluate_every,
        compiled=loaded.machine.compiled,
    )
    return header, training


def _identity(header: TrainingHeader) -> str:
    """Identifier that a checkpoint and the training that resumes from it must share."""
    images = header.images_sha256[:12]
    return f"{header.cell} on {header.dataset} ({images}) by {header.recipe}, seed {header.seed}, {header.precision}"
