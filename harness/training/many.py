"""Many trainings at once, on an engine, or in one process per device of this machine."""

import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import torch
from filelock import FileLock, Timeout

from nasgauge.data.storage import Store
from nasgauge.harness.engines import Engine, Local, Lost, parse_engine
from nasgauge.harness.records.trainings import Epoch, TrainingRecord
from nasgauge.harness.training.loaded import Loaded, load
from nasgauge.harness.training.loop import Step
from nasgauge.harness.training.machine import Machine, here_of_torchrun
from nasgauge.harness.training.running import EVERY_EPOCH, Habits, train_unit
from nasgauge.harness.training.units import TrainingUnit
from nasgauge.spaces.errors import NasgaugeError

PACKAGES: Final = ("torch", "torchvision", "lightning-fabric", "numpy")
"""Packages whose versions a training record states."""


class TrainingsFailed(NasgaugeError, RuntimeError):
    """Trainings whose process ended; the others are finished."""

    exit_code = 1


def machines(machine: Machine, workers: int, most: int | None = None) -> list[Machine]:
    """The machine of each of `workers` processes, of `most` at most; 0 is one process per GPU, or a single one on a CPU.

    Processes on a CPU divide its threads among them, unless `machine.threads` is set, and all divide the processes that
    read images, unless `machine.readers` is set. On GPUs, process i uses GPU i modulo the number of GPUs, unless
    `machine.device` names one GPU.

    Raises InvalidBatch, InvalidMachine.

    >>> [place.threads for place in machines(Machine(device="cpu", precision="32", threads=4), workers=2)]
    [4, 4]
    """
    here = machine.resolved()
    alone = here.processes == 1 and not here_of_torchrun(os.environ)
    cards = torch.cuda.device_count() if here.device == "cuda" and alone else 0
    count = workers or max(cards, 1)
    if most is not None:
        count = min(count, max(most, 1))
    if machine.readers is None and here.readers:
        here = replace(here, readers=max(here.readers // count, 1))
    if cards:
        return [replace(here, device=f"cuda:{place % cards}") for place in range(count)]
    threads = here.threads or max(torch.get_num_threads() // count, 1)
    return [replace(here, threads=threads)] * count


def engine_of_trainings(text: str, place: Machine) -> Engine:
    """An engine by name and options, whose tasks ask for a GPU where the trainings use one.

    Raises InvalidEngine, MissingExtra.

    >>> engine_of_trainings("slurm", Machine(device="cuda", precision="32")).gpus
    1
    """
    engine = parse_engine(text)
    if place.device.startswith("cuda") and getattr(engine, "gpus", None) == 0 and "gpus=" not in text:
        return parse_engine(f"{text},gpus=1")
    return engine


def train_units(
    folder: Path,
    units: Sequence[TrainingUnit],
    places: Sequence[Machine],
    provenance: Mapping[str, object],
    *,
    images: Path | None = None,
    skip_damaged: bool = False,
    habits: Habits = EVERY_EPOCH,
    on_epoch: Callable[[Epoch], None] = lambda _epoch: None,
    on_step: Callable[[Step], None] = lambda _step: None,
    engine: Engine | None = None,
    storage: str = "",
) -> Iterator[tuple[TrainingUnit, TrainingRecord]]:
    """Train units in parallel, each on one of the machines in `places`, and yield them as they finish.

    With a single place, training runs in this process and `on_epoch` and `on_step` are called (see `train_unit`). With
    several, or with an engine, progress is visible only in the training records. Processes of an `engine` all use the
    first of the places, and share the file system with this one, unless the files are kept at the URL `storage`: then
    the records are copied to `folder` in the end, and weights stay at the URL.

    Raises StorageFailed, TrainingsFailed at the end for those whose process ended, and whatever `load` and `train_unit` raise.
    """
    how: dict[str, Any] = {"habits": habits}
    if len(places) == 1 and engine is None:
        how |= {"on_epoch": on_epoch, "on_step": on_step}
    lost = []
    store = Store.of(folder.absolute(), storage)
    store.begin()
    with TemporaryDirectory() as leases:
        worker = _Worker(
            store=store,
            elsewhere=engine is not None,
            places=tuple(places[:1] if engine else places),
            leases=Path(leases),
            provenance=provenance,
            images=images,
            skip_damaged=skip_damaged,
            how=how,
        )
        with closing((engine or Local(len(places) or 1)).run(worker.train, units)) as done:
            for unit, record in done:
                if isinstance(record, Lost):
                    lost.append(f"{unit.cell} seed {unit.seed}: {record.reason}")
                else:
                    yield unit, record
    store.bring()
    if lost:
        raise TrainingsFailed(
            f"{len(lost)} trainings failed ({'; '.join(lost)}); run the same command again, which goes on from "
            "their checkpoints"
        )


@dataclass(frozen=True, kw_only=True)
class _Worker:
    """What a process needs to train a unit."""

    store: Store
    elsewhere: bool
    """Whether the process may run on another machine, where the folder of the store is its own."""
    places: tuple[Machine, ...]
    leases: Path
    """Folder of the locks of places."""
    provenance: Mapping[str, object]
    images: Path | None
    skip_damaged: bool
    how: Mapping[str, Any]
    """Arguments of `train_unit`."""

    def train(self, unit: TrainingUnit) -> TrainingRecord:
        """Train a unit on a place that no other process uses."""
        place = self.places[0] if len(self.places) == 1 else _lease(self.places, self.leases)[0]
        about = {**self.provenance, "host": platform.node()}
        with self.store.elsewhere() if self.elsewhere else nullcontext(self.store) as own:
            loaded = _loaded(unit.dataset, self.images, self.skip_damaged, place)
            return train_unit(own.folder, unit, loaded, about, store=own, **self.how)


@lru_cache(maxsize=1)
def _lease(places: tuple[Machine, ...], leases: Path) -> tuple[Machine, FileLock]:
    """A machine that no other process uses, and the lock that reserves it for this process."""
    for number, place in enumerate(places):
        lock = FileLock(leases / str(number))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        return place, lock
    return places[0], FileLock(
        leases / "0"
    )  # a worker was replaced, and the lock of the old one is not yet released


@lru_cache(maxsize=1)
def _loaded(dataset: str, images: Path | None, skip_damaged: bool, place: Machine) -> Loaded:
    return load(dataset, images, place, skip_damaged=skip_damaged)
