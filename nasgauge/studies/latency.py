"""Latency of cells, measured on this machine: the network of the benchmark, forward passes without gradients."""

import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from nasgauge.analysis.statistics.runs import median_interval
from nasgauge.searchers.threads import torch_threads
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.costs import task
from nasgauge.spaces.errors import NasgaugeError

if TYPE_CHECKING:
    import torch


class InvalidMeasurement(NasgaugeError, ValueError):
    """A measurement that measures nothing."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """How latency is measured.

    Raises InvalidMeasurement, UnknownDataset.
    """

    dataset: str = "cifar10"
    """Whose classes and image sides the network has."""
    batch: int = 1
    """Images of a forward pass."""
    warm_up: int = 10
    """Passes before any is measured."""
    passes: int = 100
    """Passes that are measured, one by one."""
    threads: int = 1
    """Of PyTorch on the CPU."""
    device: str = "cpu"

    def __post_init__(self) -> None:
        task(self.dataset)
        if min(self.batch, self.passes, self.threads) < 1 or self.warm_up < 0:
            raise InvalidMeasurement(
                f"batch {self.batch}, passes {self.passes} and threads {self.threads} must be at least 1, "
                f"warm-up {self.warm_up} at least 0"
            )


@dataclass(frozen=True)
class Latency:
    """Milliseconds of a forward pass of one cell's network."""

    cell: Cell
    median: float
    low: float
    high: float
    """The 95 % interval of the median by order statistics; passes in a row are not independent, so it is a lower bound."""
    fastest: float
    passes: int


def latencies(cells: Sequence[Cell], how: Measurement) -> Iterator[Latency]:
    """The latency of each cell, in turn.

    Weights are random: latency does not depend on them, but for denormal numbers, which Kaiming weights do not give.

    Raises InvalidBatch for a device that this machine does not have; MissingExtra without torch.

    >>> from nasgauge.spaces.nb201 import NB201
    >>> (one,) = latencies([NB201()[0]], Measurement(passes=9, warm_up=1))
    >>> 0 < one.fastest <= one.low <= one.median <= one.high
    True
    """
    import torch

    from nasgauge.harness.network import Skeleton, build, choices_of
    from nasgauge.harness.network.inputs import open_device

    device, images = open_device(how.device), task(how.dataset)
    with torch_threads(how.threads):
        for cell in cells:
            generator = torch.Generator().manual_seed(0)
            skeleton = Skeleton(classes=images.classes, side=images.side)
            network = build(choices_of(cell), skeleton, generator).to(device).eval()
            pixels = torch.randn(how.batch, 3, images.side, images.side, generator=generator).to(device)
            with torch.inference_mode():
                spent = [_pass(network, pixels, device) for _ in range(how.warm_up + how.passes)]
            times = 1e3 * np.array(spent[how.warm_up :])
            low, high = median_interval(times[:, None])[:, 0]
            yield Latency(
                cell, float(np.median(times)), float(low), float(high), float(times.min()), how.passes
            )


def machine(how: Measurement) -> str:
    """What latency is measured on, in words."""
    import torch

    from nasgauge.harness.records.provenance import processor

    if how.device.startswith("cuda"):
        place = torch.cuda.get_device_name(how.device)
    else:
        place = f"{processor()}, {how.threads} thread{'s' * (how.threads > 1)}"
    return f"{place}, torch {torch.__version__}, {platform.system()}"


def _pass(network: "torch.nn.Module", pixels: "torch.Tensor", device: "torch.device") -> float:
    import torch

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    wait()
    start = perf_counter()
    network(pixels)
    wait()
    return perf_counter() - start
