"""Training units: one cell, trained once with a recipe and a seed, and stored as one record.

    DIR/CELL@DATASET@RECIPE@SEED.parquet      the record, written after every epoch
    DIR/….checkpoint.safetensors              the checkpoint, during training
    DIR/….weights.safetensors                 the final weights

A unit with a finished record is not trained again. An interrupted unit resumes from its checkpoint, also in the middle
of an epoch, with the same images in the same order. On a CPU, with the same number of threads, its weights and metrics
equal those of an uninterrupted run.
"""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import torch
from filelock import FileLock
from torch import Tensor

from nasgauge.data.sealed import measured_file
from nasgauge.data.storage import Store
from nasgauge.harness.network import Skeleton, build_network, parameters
from nasgauge.harness.records.recipes import Recipe
from nasgauge.harness.records.trainings import Epoch, TrainingHeader, TrainingRecord, read, write
from nasgauge.harness.training.checkpoint import load_checkpoint, save_checkpoint
from nasgauge.harness.training.feeding import weights_generator
from nasgauge.harness.training.loaded import Loaded
from nasgauge.harness.training.loop import HeldOut, Step, Training
from nasgauge.spaces.architectures import Architecture, short_name
from nasgauge.spaces.errors import NasgaugeError

_KEPT = ("weights.", "average.")  # tensors of the final weights


class OtherTraining(NasgaugeError, ValueError):
    """Raised when a record belongs to another training than the requested one."""


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

    @property
    def identity(self) -> dict[str, str]:
        """What the weights of this unit must have in common with those of a file."""
        values = sha256(str(self.recipe).encode()).hexdigest()[:8]
        return {"cell": str(self.cell), "dataset": self.dataset, "recipe": f"{self.recipe.name} ({values})"}

    def _differs(self, header: TrainingHeader) -> bool:
        ours = (str(self.cell), self.dataset, self.recipe, self.seed)
        return (header.cell, header.dataset, header.recipe, header.seed) != ours


@dataclass(frozen=True, kw_only=True)
class Habits:
    """How often a training is evaluated and saved."""

    evaluate_every: int = 1
    """Epochs between evaluations; the last epoch is always evaluated."""
    checkpoint_every: int = 1
    """Epochs between checkpoints."""
    checkpoint_steps: int = 500
    """Steps between checkpoints within an epoch; 0 for none."""


EVERY_EPOCH: Final = Habits()


def train_unit(
    folder: Path,
    unit: TrainingUnit,
    loaded: Loaded,
    provenance: Mapping[str, object],
    *,
    habits: Habits = EVERY_EPOCH,
    on_epoch: Callable[[Epoch], None] = lambda _epoch: None,
    on_step: Callable[[Step], None] = lambda _step: None,
    store: Store | None = None,
) -> TrainingRecord:
    """Train a unit, or resume it from its checkpoint, and return its record.

    A finished unit is not trained again. Several processes may work in the same folder: one of them trains the unit and
    the others wait for it. With data-parallel training, the first process alone reads and writes the folder.

    `provenance` has the fields `argv`, `commit` and `versions` of the header. `on_epoch` is called with the metrics of
    each trained epoch. `on_step` is called after each step, and once for what was done before. A `store` keeps the
    files elsewhere too; `folder` is its folder, or in it.

    Raises StorageFailed, TrainingDiverged, WrongCheckpoint, OtherTraining, DamagedTraining, DamagedImages.

    >>> import tempfile
    >>> from nasgauge.data.images import open_splits
    >>> from nasgauge.harness.records.provenance import provenance
    >>> from nasgauge.harness.training.loaded import LoadedSplits
    >>> from nasgauge.harness.training.machine import Machine
    >>> from nasgauge.spaces.cells import Cell
    >>> loaded = LoadedSplits(open_splits("made-up"), Machine(device="cpu", precision="32"))
    >>> recipe = Recipe(name="example", epochs=1, images=64, channels=2, cells=1)
    >>> unit = TrainingUnit(Cell(("skip_connect",) * 6), "made-up", recipe, 777)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     train_unit(Path(folder), unit, loaded, provenance()).finished
    True
    """
    folder.mkdir(parents=True, exist_ok=True)
    fabric = loaded.fabric
    alone = fabric.is_global_zero
    lock, record, checkpoint = folder / f".{unit.name}.lock", unit.record(folder), unit.checkpoint(folder)
    store = store or Store(folder)
    with FileLock(lock) if alone else nullcontext():
        if alone and store.url:
            paths = (record, measured_file(record), checkpoint)
            store.bring(*(path.relative_to(store.folder).as_posix() for path in paths))
        done: TrainingRecord | None = fabric.broadcast(unit.finished(folder) if alone else None)
        if done is not None:
            on_step(Step(len(done.epochs)))
            return done
        header, training = _prepare(unit, loaded, provenance, habits)
        identity = unit.identity | {
            "images": header.images_sha256[:12],
            "seed": str(unit.seed),
            "precision": header.precision,
            "shares of a batch": str(header.shares * header.processes),
        }
        epochs = _resume(folder, unit, training, identity, alone=alone)
        if training.done or training.step:
            on_step(Step(training.done + training.step / training.steps))

        def save(done: int) -> None:
            tensors = training.state()
            if alone:
                save_checkpoint(checkpoint, tensors, identity, done)
                store.keep(checkpoint)

        def after_step(step: Step) -> None:
            if habits.checkpoint_steps and not step.step % habits.checkpoint_steps and step.step < step.steps:
                save(step.epoch - 1)
            on_step(step)

        for epoch in training.epochs(after_step):
            epochs.append(epoch)
            on_epoch(epoch)
            if alone:
                write(record, header.model_copy(update={"skipped": loaded.skipped}), epochs)
                store.keep(measured_file(record), record)
            if epoch.epoch < unit.recipe.epochs and epoch.epoch % habits.checkpoint_every == 0:
                save(epoch.epoch)
        tensors = {name: value for name, value in training.state().items() if name.startswith(_KEPT)}
        if alone:
            save_checkpoint(unit.weights(folder), tensors, identity, unit.recipe.epochs)
            checkpoint.unlink(missing_ok=True)
            store.keep(unit.weights(folder), checkpoint)
            lock.unlink(
                missing_ok=True
            )  # a process that waits for it, or creates it again, finds the finished record
    return TrainingRecord(header, tuple(epochs))


def evaluate_unit(
    path: Path, unit: TrainingUnit, loaded: Loaded
) -> dict[HeldOut, tuple[float, float, float]]:
    """Evaluate weights or a checkpoint of a unit: loss, top-1 and top-5 accuracy on each part that is held out.

    Raises WrongCheckpoint for a file of another architecture, dataset or recipe.
    """
    tensors, _ = load_checkpoint(path, unit.identity)
    held_out = loaded.held_out(unit.recipe)
    training = Training(
        _network(unit, loaded), unit.recipe, loaded.feed(unit.recipe), held_out, loaded.fabric, seed=0
    )
    training.restore_weights(tensors)
    return {name: training.evaluate(images) for name, images in held_out.items()}


def _resume(
    folder: Path, unit: TrainingUnit, training: Training, identity: Mapping[str, str], *, alone: bool
) -> list[Epoch]:
    """Restore the checkpoint of a unit, if there is one, in all processes: the metrics of the epochs before it."""
    kept: tuple[dict[str, Tensor], int, list[Epoch]] | None = None
    if alone and unit.checkpoint(folder).is_file():
        tensors, done = load_checkpoint(unit.checkpoint(folder), identity)
        before = list(read(unit.record(folder)).epochs[:done]) if unit.record(folder).is_file() else []
        kept = (tensors, done, before) if len(before) == done else None
    kept = training.fabric.broadcast(kept)
    if kept is None:
        return []
    tensors, done, before = kept
    training.restore(tensors, done)
    return before


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


def _network(unit: TrainingUnit, loaded: Loaded) -> torch.nn.Module:
    skeleton = skeleton_of(unit.recipe, loaded.classes, loaded.side(unit.recipe))
    return build_network(unit.cell, skeleton, weights_generator(unit.seed), unit.recipe.initialisation)


def _prepare(
    unit: TrainingUnit, loaded: Loaded, provenance: Mapping[str, object], habits: Habits
) -> tuple[TrainingHeader, Training]:
    recipe, fabric = unit.recipe, loaded.fabric
    shares = loaded.machine.shares(recipe.batch, fabric.world_size)
    network = _network(unit, loaded)
    header = TrainingHeader.model_validate(
        {
            "cell": str(unit.cell),
            "dataset": unit.dataset,
            "splits": loaded.origin,
            "images_sha256": loaded.images_sha256,
            "recipe": recipe,
            "seed": unit.seed,
            "device": fabric.device.type,
            "threads": torch.get_num_threads(),
            "precision": loaded.machine.precision,
            "processes": fabric.world_size,
            "shares": shares,
            "compiled": loaded.machine.compiled,
            "initialisation": recipe.initialisation,
            "parameters": parameters(network),
            **provenance,
        }
    )
    training = Training(
        network,
        recipe,
        loaded.feed(recipe),
        loaded.held_out(recipe),
        fabric,
        seed=unit.seed,
        evaluate_every=habits.evaluate_every,
        compiled=loaded.machine.compiled,
        shares=shares,
    )
    return header, training
