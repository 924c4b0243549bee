"""NAS-Bench-201's network, for cells and for supernets alike (Dong and Yang, 2020, section 2.1).

One builder takes, for each of the six edges, the operations that the edge mixes. One operation on every
edge is a cell of the benchmark. Many are a supernet, where an edge delivers the plain average of its
operations (TE-NAS, Chen et al., 2021: equal architecture parameters under a softmax). None is an edge
that delivers zero, as `none` does.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from nasgauge.harness.network.initialise import initialise
from nasgauge.spaces.cells import EDGES, OPERATIONS, Cell
from nasgauge.spaces.errors import NasgaugeError

Choices = tuple[tuple[str, ...], ...]

_NODES: Final = 4


class InvalidChoices(NasgaugeError, ValueError):
    """Choices that name no network, or a skeleton that cannot be built."""


@dataclass(frozen=True, kw_only=True)
class Skeleton:
    """Everything of the network that is not the cell; the defaults are the benchmark's own."""

    channels: int = 16
    cells: int = 5
    """Cells in each stage."""
    stages: int = 3
    """The channels double, and height and width halve, from one stage to the next."""
    classes: int = 10
    stem: bool = True
    """Without a stem the first cell sees the image itself, which must have `channels` channels."""

    def __post_init__(self) -> None:
        if min(self.channels, self.cells, self.stages, self.classes) < 1:
            raise InvalidChoices(f"channels, cells, stages and classes must be at least 1, not {self}")

    @property
    def image_channels(self) -> int:
        """Channels of the images that the network takes."""
        return 3 if self.stem else self.channels


def choices_of(cell: Cell) -> Choices:
    """The choices that make the network of one cell.

    >>> choices_of(Cell(("none", "skip_connect", "none", "none", "none", "nor_conv_3x3")))
    (('none',), ('skip_connect',), ('none',), ('none',), ('none',), ('nor_conv_3x3',))
    """
    return tuple((op,) for op in cell.ops)


class ReLUConvBN(nn.Module):
    """ReLU, convolution without bias, batch normalisation."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, images: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        result: Tensor = self.norm(self.conv(self.relu(images)))
        return result


def _operation(name: str, channels: int) -> nn.Module:
    if name == "nor_conv_3x3":
        return ReLUConvBN(channels, channels, 3)
    if name == "nor_conv_1x1":
        return ReLUConvBN(channels, channels, 1)
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, 1, 1, count_include_pad=False)
    return nn.Identity()


class CellModule(nn.Module):
    """One cell: node 3 of `EDGES`, each edge the average of its operations."""

    def __init__(self, choices: Choices, channels: int) -> None:
        super().__init__()
        self.mixes = tuple(tuple(op for op in ops if op != "none") for ops in choices)
        self.weights = tuple(1 / max(len(ops), 1) for ops in choices)
        self.edges = nn.ModuleList(
            nn.ModuleDict({op: _operation(op, channels) for op in mix}) for mix in self.mixes
        )

    def into(self, node: int) -> Iterator[tuple[int, float, list[nn.Module]]]:
        """Source, weight and operations of each edge into a node that has any."""
        for edge, weight, (source, end) in zip(self.edges, self.weights, EDGES, strict=True):
            operations = list(edge.children())
            if end == node and operations:
                yield source, weight, operations

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        nodes = [images]
        for node in range(1, _NODES):
            total: Tensor | None = None
            for source, weight, operations in self.into(node):
                terms = [operation(nodes[source]) for operation in operations]
                mixed = terms[0] if len(terms) == 1 else torch.stack(terms).sum(0)
                mixed = mixed if weight == 1 else mixed * weight
                total = mixed if total is None else total + mixed
            nodes.append(torch.zeros_like(images) if total is None else total)
        return nodes[-1]


class ResidualBlock(nn.Module):
    """The block between two stages: height and width halve, channels double."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = ReLUConvBN(inputs, outputs, 3, stride=2)
        self.second = ReLUConvBN(outputs, outputs, 3)
        self.pool = nn.AvgPool2d(2)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H / 2, W / 2)."""
        result: Tensor = self.shortcut(self.pool(images)) + self.second(self.first(images))
        return result


class Stem(nn.Module):
    """Convolution and batch normalisation."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, images: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H, W)."""
        result: Tensor = self.norm(self.conv(images))
        return result


class Network(nn.Module):
    """Stem, stages of cells with residual blocks between them, BN and ReLU, pooling, linear classifier."""

    def __init__(self, choices: Choices, skeleton: Skeleton) -> None:
        super().__init__()
        self.choices = choices
        self.skeleton = skeleton
        channels = skeleton.channels
        self.stem = Stem(skeleton.image_channels, channels) if skeleton.stem else None
        body: list[nn.Module] = []
        for stage in range(skeleton.stages):
            if stage:
                body.append(ResidualBlock(channels, 2 * channels))
                channels *= 2
            body += [CellModule(choices, channels) for _ in range(skeleton.cells)]
        self.body = nn.ModuleList(body)
        self.norm = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        self.classifier = nn.Linear(channels, skeleton.classes)

    def features(self, images: Tensor) -> Tensor:
        """(B, image channels, H, W) to the pooled (B, channels of the last stage)."""
        if self.stem is not None:
            images = self.stem(images)
        for module in self.body:
            images = module(images)
        pooled: Tensor = self.relu(self.norm(images)).mean((2, 3))
        return pooled

    def forward(self, images: Tensor) -> Tensor:
        """(B, image channels, H, W) to logits (B, classes)."""
        logits: Tensor = self.classifier(self.features(images))
        return logits


def build(
    choices: Choices,
    skeleton: Skeleton,
    generator: torch.Generator,
    *,
    initialisation: str = "default",
    device: torch.device | str = "cpu",
) -> Network:
    """A network in train mode with weights drawn from `generator`, torch's global generator left alone.

    The weights are drawn on the generator's device, so a CPU generator gives the same network everywhere.

    Raises InvalidChoices, UnknownInitialisation.
    """
    if len(choices) != len(EDGES):
        raise InvalidChoices(f"a network takes choices for {len(EDGES)} edges, not {len(choices)}")
    for mix in choices:
        for op in mix:
            if op not in OPERATIONS:
                raise InvalidChoices(f"unknown operation {op!r}; choose from {', '.join(OPERATIONS)}")
        if len(set(mix)) != len(mix):
            raise InvalidChoices(f"an edge mixes each operation once; got {mix}")
    with torch.device("meta"):
        network = Network(choices, skeleton)
    network.to_empty(device=device)
    initialise(network, initialisation, generator)
    return network.train()
