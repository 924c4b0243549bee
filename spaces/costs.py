"""Parameters, multiply-adds and activations of a NAS-Bench-201 network, computed from the cell.

The network is a 3×3 stem of 16 channels, three stages of five cells at 16, 32 and 64 channels, a residual
block of stride 2 before the second and the third, and a linear classifier (Dong and Yang, 2020, section
2.1). An edge counts even if no path leads through it, as in the benchmark. Training seconds cannot be
computed: they are measured, and part of the table `nb201`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise, product
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nasgauge.spaces.cells import EDGES, OPERATIONS, Cell
from nasgauge.spaces.errors import NasgaugeError

CELLS_IN_STAGE: Final = 5
CHANNELS: Final = (16, 32, 64)


class UnknownDataset(NasgaugeError, LookupError):
    """A dataset that the benchmark has no training on."""


@dataclass(frozen=True)
class Task:
    """A training task of the benchmark: the images, and how many each split has."""

    classes: int
    side: int
    """Pixels."""
    train: int
    valid: int
    """0 where no image is held out."""
    test: int


TASKS: Final[Mapping[str, Task]] = MappingProxyType(
    {
        "cifar10-valid": Task(10, 32, 25_000, 25_000, 10_000),
        "cifar10": Task(10, 32, 50_000, 0, 10_000),
        "cifar100": Task(100, 32, 50_000, 5_000, 5_000),
        "ImageNet16-120": Task(120, 16, 151_700, 3_000, 3_000),
    }
)
"""By the benchmark's own key of the training set."""


def task(dataset: str) -> Task:
    """The training task of a dataset.

    Raises UnknownDataset.
    """
    try:
        return TASKS[dataset]
    except KeyError:
        raise UnknownDataset(f"unknown dataset {dataset!r}; choose from {', '.join(TASKS)}") from None


def parameters(cell: Cell, dataset: str = "cifar10") -> int:
    """Trainable parameters of the whole network.

    Raises UnknownDataset.

    >>> parameters(Cell(("none",) * 6)), parameters(Cell(("nor_conv_3x3",) * 6))
    (73306, 1531546)
    """
    wide, narrow = cell.ops.count("nor_conv_3x3"), cell.ops.count("nor_conv_1x1")
    edges = sum(CELLS_IN_STAGE * (wide * (9 * c**2 + 2 * c) + narrow * (c**2 + 2 * c)) for c in CHANNELS)
    stem = 27 * 16 + 2 * 16
    blocks = sum(9 * a * b + 9 * b**2 + a * b + 4 * b for a, b in _DOUBLINGS)
    last_norm = 2 * CHANNELS[-1]
    classifier = (CHANNELS[-1] + 1) * task(dataset).classes
    return edges + stem + blocks + last_norm + classifier


def multiply_adds(cell: Cell, dataset: str = "cifar10") -> int:
    """Multiply-adds of one image's forward pass, which the benchmark calls FLOPs.

    Only convolutions and the classifier are counted, as in the benchmark. Raises UnknownDataset.

    >>> multiply_adds(Cell(("none",) * 6)), multiply_adds(Cell(("nor_conv_3x3",) * 6), "ImageNet16-120")
    (7783050, 55037560)
    """
    wide, narrow = cell.ops.count("nor_conv_3x3"), cell.ops.count("nor_conv_1x1")
    sides = _sides(dataset)
    edges = sum(
        CELLS_IN_STAGE * (9 * wide + narrow) * c**2 * h**2 for c, h in zip(CHANNELS, sides, strict=True)
    )
    stem = 27 * 16 * sides[0] ** 2
    blocks = sum(
        (9 * a * b + 9 * b**2 + a * b) * h**2 for (a, b), h in zip(_DOUBLINGS, sides[1:], strict=True)
    )
    classifier = (CHANNELS[-1] + 1) * task(dataset).classes
    return edges + stem + blocks + classifier


def activations(cell: Cell, dataset: str = "cifar10") -> int:
    """Numbers in the outputs of all convolutions for one image (Radosavovic et al., 2020, section 2).

    What a training keeps of an image grows with it, and so does the traffic to memory. Raises UnknownDataset.

    >>> activations(Cell(("none",) * 6)), activations(Cell(("nor_conv_3x3",) * 6), "ImageNet16-120")
    (53248, 228352)
    """
    convolutions = cell.ops.count("nor_conv_3x3") + cell.ops.count("nor_conv_1x1")
    sides = _sides(dataset)
    edges = sum(CELLS_IN_STAGE * convolutions * c * h**2 for c, h in zip(CHANNELS, sides, strict=True))
    stem = CHANNELS[0] * sides[0] ** 2
    blocks = sum(3 * c * h**2 for c, h in zip(CHANNELS[1:], sides[1:], strict=True))
    return edges + stem + blocks


def of_every_cell(cost: Callable[[Cell, str], int], dataset: str) -> NDArray[np.float64]:
    """`parameters`, `multiply_adds` or `activations` of all cells, (15625,) by `Cell.rank`.

    Raises UnknownDataset.

    >>> of_every_cell(parameters, "cifar10").min()
    np.float64(73306.0)
    """
    by_counts: dict[tuple[int, ...], int] = {}  # a cost depends on how often each operation occurs, not where
    costs = np.empty(len(OPERATIONS) ** len(EDGES))
    for rank, ops in enumerate(product(OPERATIONS, repeat=len(EDGES))):
        counts = tuple(map(ops.count, OPERATIONS))
        if counts not in by_counts:
            by_counts[counts] = cost(Cell(ops), dataset)
        costs[rank] = by_counts[counts]
    return costs


_DOUBLINGS: Final = tuple(pairwise(CHANNELS))


def _sides(dataset: str) -> tuple[int, ...]:
    side = task(dataset).side
    return side, side // 2, side // 4
