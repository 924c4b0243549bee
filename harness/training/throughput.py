"""Throughput of training steps on random images, without files and without an input path."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import torch
from torch import Tensor

from nasgauge.data.images.folders import DEVIATION, MEAN
from nasgauge.harness.records.datasets import size_of
from nasgauge.harness.records.recipes import Recipe
from nasgauge.harness.training.feeding import Colours
from nasgauge.harness.training.loop import Step, Training
from nasgauge.harness.training.machine import Machine, peak_memory
from nasgauge.harness.training.reading import SIDE
from nasgauge.harness.training.units import TrainingUnit

_STEPS: Final = 4  # between looks at the clock


class Throughput(NamedTuple):
    """Speed of training steps."""

    images_per_second: float
    """Over all processes."""
    step: float
    """Seconds of an optimiser step."""
    peak_memory: float
    """Peak memory in bytes: of the device on a GPU, of the process on a CPU."""
    hours: float
    """Hours for the epochs of the recipe at this speed, without evaluation."""


class FakeFeed:
    """One batch of random images again and again, normalised anew each time, in short epochs."""

    def __init__(
        self, recipe: Recipe, side: int, classes: int, device: torch.device, *, steps: int = _STEPS
    ) -> None:
        self.batch = recipe.batch
        self.count = steps * recipe.batch
        self._colours = Colours.on(device, MEAN, DEVIATION)
        generator = torch.Generator().manual_seed(0)
        self._pixels = torch.randint(
            256, (recipe.batch, 3, side, side), generator=generator, dtype=torch.uint8
        )
        self._pixels = self._pixels.to(device, memory_format=torch.channels_last)
        self._labels = torch.randint(classes, (recipe.batch,), generator=generator).to(device)

    def epoch(
        self, _generator: torch.Generator, *, shares: Sequence[int] = (0,), of: int = 1, first: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield these shares of the batch, once for each step: normalised floats (B, 3, H, W) and labels (B,)."""
        for _ in range(first * self.batch, self.count, self.batch):
            for share in shares:
                yield self._colours.normalised(self._pixels[share::of]), self._labels[share::of]


def throughput(
    unit: TrainingUnit, machine: Machine, seconds: float, on_step: Callable[[Step], None] = lambda _step: None
) -> Throughput:
    """Train a unit on random images for about so many seconds, after four steps of warming up.

    Raises UnknownDataset, InvalidBatch, InvalidMachine, TrainingDiverged.

    >>> from nasgauge.spaces.cells import Cell
    >>> recipe = Recipe(name="example", epochs=1, batch=4, channels=2, cells=1)
    >>> unit = TrainingUnit(Cell(("skip_connect",) * 6), "cifar10", recipe, 777)
    >>> throughput(unit, Machine(device="cpu", precision="32"), 0.01).images_per_second > 0
    True
    """
    recipe, size = unit.recipe, size_of(unit.dataset)
    here = machine.resolved()
    fabric = here.fabric()
    side = size.side or recipe.side or SIDE
    network = unit.network(size.classes, side)
    feed = FakeFeed(recipe, side, size.classes, fabric.device)
    shares = here.shares(recipe.batch, fabric.world_size)
    endless = replace(recipe, epochs=sys.maxsize)
    training = Training(
        network, endless, feed, {}, fabric, seed=unit.seed, compiled=here.compiled, shares=shares
    )
    epochs = training.epochs(on_step)
    next(epochs)  # warming up
    spent = steps = 0.0
    while fabric.broadcast(spent < seconds or not steps):  # all processes end when the first one does
        spent += next(epochs).seconds
        steps += training.steps
    rate = recipe.batch * steps / spent
    hours = recipe.epochs * (size.images - size.images % recipe.batch) / rate / 3600
    return Throughput(rate, spent / steps, peak_memory(fabric.device), hours)
