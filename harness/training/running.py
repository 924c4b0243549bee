"""Running a training unit: from its checkpoint if there is one, to its record and its weights.

A unit with a finished record is not trained again. An interrupted unit resumes from its checkpoint, also in the middle
of an epoch, with the same images in the same order. On a CPU, with the same number of threads, its weights and metrics
equal those of an uninterrupted run.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from filelock import FileLock, Timeout
from lightning_fabric import Fabric
from torch import Tensor

from nasgauge.data.sealed import measured_file
from nasgauge.data.storage import Store
from nasgauge.harness.network import parameters
from nasgauge.harness.records.trainings import Epoch, TrainingHeader, TrainingRecord, read, write
from nasgauge.harness.training.checkpoint import load_checkpoint, save_checkpoint, under
from nasgauge.harness.training.evaluating import by_first, evaluate, on_device
from nasgauge.harness.training.loaded import Loaded, identity_of
from nasgauge.harness.training.loop import HeldOut, Step, Training
from nasgauge.harness.training.units import OtherTraining, TrainingUnit

_KEPT = ("weights.", "average.")  # tensors of the final weights


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
    the others wait for it. With data-parallel training, the first process alone reads and writes the folder, and a unit
    that another process trains is refused.

    `provenance` has the fields `argv`, `commit` and `versions` of the header. `on_epoch` is called with the metrics of
    each trained epoch. `on_step` is called after each step, and once for what was done before. A `store` keeps the
    files elsewhere too; `folder` is its folder, or in it.

    Raises StorageFailed, TrainingDiverged, WrongCheckpoint, OtherTraining, DamagedTraining, DamagedImages.

    >>> import tempfile
    >>> from nasgauge.data.images import open_splits
    >>> from nasgauge.harness.records.provenance import provenance
    >>> from nasgauge.harness.records.recipes import Recipe
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
    with _reserved(lock, fabric):
        if store.url:
            paths = (record, measured_file(record), checkpoint)
            names = [path.relative_to(store.folder).as_posix() for path in paths]
            by_first(fabric, lambda: store.bring(*names))
        done = by_first(fabric, lambda: unit.finished(folder, identity_of(loaded)))
        if done is not None:
            on_step(Step(len(done.epochs)))
            return done
        header, training = _prepare(unit, loaded, provenance, habits)
        identity = unit.identity | {
            "classes": loaded.classes_id,
            "images": header.images_sha256[:12],
            "seed": str(unit.seed),
            "precision": header.precision,
            "shares of a batch": str(header.shares * header.processes),
        }
        epochs, skipped = _resume(folder, unit, training, identity)
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
            last = epoch.epoch == unit.recipe.epochs
            if last:  # a finished record promises weights
                tensors = {name: value for name, value in training.state().items() if name.startswith(_KEPT)}
                if alone:
                    save_checkpoint(unit.weights(folder), tensors, identity, epoch.epoch)
                    store.keep(unit.weights(folder))
            skipped = _of_all_processes(skipped, loaded)
            header = header.model_copy(update={"skipped": skipped})
            if alone:
                write(record, header, epochs)
                store.keep(measured_file(record), record)
            if not last and epoch.epoch % habits.checkpoint_every == 0:
                save(epoch.epoch)
        if alone:
            checkpoint.unlink(missing_ok=True)
            store.keep(checkpoint)
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
    tensors, _ = load_checkpoint(path, unit.identity | {"classes": loaded.classes_id})
    network = unit.network(loaded.classes, loaded.side(unit.recipe))
    network.load_state_dict(under("average.module.", tensors) or under("weights.", tensors))
    network = on_device(network, loaded.fabric)
    held_out = loaded.held_out(unit.recipe)
    return {name: evaluate(network, images, loaded.fabric) for name, images in held_out.items()}


@contextmanager
def _reserved(path: Path, fabric: Fabric) -> Iterator[None]:
    """Meanwhile, no other training works on the unit of this lock."""
    lock = FileLock(path)

    def reserve() -> None:
        try:
            lock.acquire(
                timeout=-1 if fabric.world_size == 1 else 0
            )  # several cannot wait as long as a training
        except Timeout:
            raise OtherTraining(
                f"another process trains {path.name[1:-5]} in {path.parent}; wait for it, or give another folder"
            ) from None

    by_first(fabric, reserve)
    try:
        yield
    finally:
        lock.release()


def _of_all_processes(skipped: tuple[str, ...], loaded: Loaded) -> tuple[str, ...]:
    """The damaged files that were known before, and those that any process has left out."""
    fabric = loaded.fabric
    parts: list[tuple[str, ...]] = [loaded.skipped]
    if fabric.world_size > 1:
        parts *= fabric.world_size
        torch.distributed.all_gather_object(parts, loaded.skipped)
    return tuple(sorted(set(skipped).union(*parts)))


def _resume(
    folder: Path, unit: TrainingUnit, training: Training, identity: Mapping[str, str]
) -> tuple[list[Epoch], tuple[str, ...]]:
    """Restore the checkpoint of a unit, if there is one, in all processes.

    Returns the metrics of the epochs before it, and the files that were left out in them.
    """

    def find() -> tuple[dict[str, Tensor], int, list[Epoch], tuple[str, ...]] | None:
        if not unit.checkpoint(folder).is_file():
            return None
        tensors, done = load_checkpoint(unit.checkpoint(folder), identity)
        record = read(unit.record(folder)) if unit.record(folder).is_file() else None
        before, skipped = (list(record.epochs[:done]), record.header.skipped) if record else ([], ())
        return (tensors, done, before, skipped) if len(before) == done else None

    kept = by_first(training.fabric, find)
    if kept is None:
        return [], ()
    tensors, done, before, skipped = kept
    training.restore(tensors, done)
    return before, skipped


def _prepare(
    unit: TrainingUnit, loaded: Loaded, provenance: Mapping[str, object], habits: Habits
) -> tuple[TrainingHeader, Training]:
    recipe, fabric = unit.recipe, loaded.fabric
    shares = loaded.machine.shares(recipe.batch, fabric.world_size)
    network = unit.network(loaded.classes, loaded.side(recipe))
    header = TrainingHeader.model_validate(
        {
            "cell": str(unit.cell),
            "dataset": unit.dataset,
            "splits": loaded.origin,
            "images_sha256": loaded.images_sha256,
            "classes": loaded.classes,
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
