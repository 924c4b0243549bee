"""Parallel trainings with joblib, one process per device."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import joblib
import torch
from filelock import FileLock, Timeout

from nasgauge.data.images import open_splits
from nasgauge.harness.records.trainings import Epoch
from nasgauge.harness.training.machine import Machine
from nasgauge.harness.training.units import Loaded, TrainingUnit, train_unit

PACKAGES: Final = ("torch", "torchvision", "lightning-fabric", "numpy")
"""Packages whose versions a training record states."""


def machines(machine: Machine, workers: int) -> list[Machine]:
    """The machine of each of `workers` processes; 0 is one process per GPU, or a single one on a CPU.

    Processes on a CPU divide its threads among them, unless `machine.threads` is set. On GPUs, process i uses GPU i
    modulo the number of GPUs, unless `machine.device` names one GPU.

    Raises InvalidBatch, InvalidMachine.

    >>> [place.threads for place in machines(Machine(device="cpu", precision="32", threads=4), workers=2)]
    [4, 4]
    """
    here = machine.resolved()
    cards = torch.cuda.device_count() if here.device == "cuda" and here.processes == 1 else 0
    count = workers or max(cards, 1)
    if cards:
        return [replace(here, device=f"cuda:{place % cards}") for place in range(count)]
    threads = here.threads or max(torch.get_num_threads() // count, 1)
    return [replace(here, threads=threads)] * count


def train_units(
    folder: Path,
    units: Sequence[TrainingUnit],
    places: Sequence[Machine],
    provenance: Mapping[str, object],
    *,
    images: Path | None = None,
    evaluate_every: int = 1,
    checkpoint_every: int = 1,
    on_epoch: Callable[[Epoch], None] = lambda _epoch: None,
    on_step: Callable[[float], None] = lambda _share: None,
) -> Iterator[TrainingUnit]:
    """Train units in parallel, each on one of the machines in `places`, and yield them as they finish.

    With a single place, training runs in this process and `on_epoch` and `on_step` are called (see `train_unit`). With
    several, progress is visible only in the training records. Use `joblib.parallel_config` around this call to choose
    another joblib back end.

    Raises whatever `train_unit` raises.
    """
    how: dict[str, Any] = {"evaluate_every": evaluate_every, "checkpoint_every": checkpoint_every}
    if len(places) == 1:
        how |= {"on_epoch": on_epoch, "on_step": on_step}
    with TemporaryDirectory() as leases:
        jobs = (
            joblib.delayed(_train_one)(folder, unit, tuple(places), Path(leases), provenance, images, how)
            for unit in units
        )
        parallel = joblib.Parallel(n_jobs=len(places), return_as="generator_unordered")
        with closing(parallel(jobs)) as done:
            yield from done


def _train_one(
    folder: Path,
    unit: TrainingUnit,
    places: tuple[Machine, ...],
    leases: Path,
    provenance: Mapping[str, object],
    images: Path | None,
    how: Mapping[str, Any],
) -> TrainingUnit:
    place, _ = _lease(places, leases)
    train_unit(folder, unit, _loaded(unit.dataset, images, place), provenance, **how)
    return unit


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
def _loaded(dataset: str, images: Path | None, place: Machine) -> Loaded:
    return Loaded(open_splits(dataset, images), place)
