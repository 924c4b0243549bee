"""The network of NAS-Bench-201, for single cells and for supernets (Dong and Yang, 2020, section 2.1).

`build` takes the candidate operations of each of the six edges. With one operation per edge the network is that
of a benchmark cell. With several it is a supernet, in which an edge outputs the mean of its operations (TE-NAS,
Chen et al., 2021: equal architecture parameters under a softmax). An edge without operations outputs zero, as
`none` does.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from nasgauge.harness.network.convolutions import Pointwise
from nasgauge.harness.network.initialise import initialise
from nasgauge.spaces.cells import EDGES, OPERATIONS, Cell
from nasgauge.spaces.errors import NasgaugeError

Choices = tuple[tuple[str, ...], ...]
"""For each edge, the names of its candidate operations."""

SMALLEST_PHOTOGRAPH: Final = 64
"""Side in pixels from which on networks have the stem of the ImageNet networks."""

_NODES: Final = 4


class InvalidChoices(NasgaugeError, ValueError):
    """Raised for choices or a skeleton from which no network can be built."""


@dataclass(frozen=True, kw_only=True)
class Skeleton:
    """The macro structure of a network, without the cell. The defaults are those of NAS-Bench-201.

    Raises InvalidChoices.

    >>> Skeleton().image_channels, Skeleton(channels=1, stem=False).image_channels
    (3, 1)
    """

    channels: int = 16
    """Channels of the first stage."""
    cells: int = 5
    """Cells in each stage."""
    stages: int = 3
    """Number of stages. From one stage to the next, channels double and height and width halve."""
    classes: int = 10
    """Outputs of the linear classifier."""
    stem: bool = True
    """Whether a 3x3 convolution precedes the first cell. Without it, images must have `channels` channels."""
    side: int = 32
    """Height and width in pixels of the images that the network is trained on."""
    stem_channels: int = 32
    """Channels of the first convolution of PNAS networks for photographs."""
    auxiliary: bool = False
    """Whether there is an auxiliary head."""
    drop_path: float = 0.0
    """Final probability of dropping the output of an operator."""
    dropout: float = 0.0
    """Probability of dropping a feature before the classifier."""
    norm_momentum: float = 0.1
    """Weight of a batch in the running statistics of batch normalisation."""

    def __post_init__(self) -> None:
        if min(self.channels, self.cells, self.stages, self.classes, self.side, self.stem_channels) < 1:
            raise InvalidChoices(f"channels, cells, stages, classes and side must be at least 1, not {self}")

    @property
    def photographs(self) -> bool:
        """Whether the network has the stem of the ImageNet networks, which divides sides by 8: from 64 pixels on."""
        return self.side >= SMALLEST_PHOTOGRAPH

    @property
    def image_channels(self) -> int:
        """Number of channels of the input images."""
        return 3 if self.stem else self.channels


def choices_of(cell: Cell) -> Choices:
    """The choices of a single cell: one operation per edge.

    >>> choices_of(Cell(("none", "skip_connect", "none", "none", "none", "nor_conv_3x3")))
    (('none',), ('skip_connect',), ('none',), ('none',), ('none',), ('nor_conv_3x3',))
    """
    return tuple((op,) for op in cell.ops)


class ReLUConvBN(nn.Module):
    """ReLU, convolution without bias, batch normalisation.

    >>> ReLUConvBN(4, 8, kernel=3, stride=2)(torch.zeros(2, 4, 8, 8)).shape
    torch.Size([2, 8, 4, 4])
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.conv = (
            Pointwise(inputs, outputs, stride)
            if kernel == 1
            else nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
        )
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
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
    """A cell whose edges average their candidate operations; the output is node 3.

    With `within`, a cell of at least these operations, it shares the operations of that cell.

    >>> cell = CellModule((("skip_connect",),) * 6, channels=2)
    >>> cell(torch.ones(2, 2, 4, 4)).unique()  # node 1 is 1, node 2 is 2, node 3 is 1 + 1 + 2
    tensor([4.])
    """

    def __init__(self, choices: Choices, channels: int, within: "CellModule | None" = None) -> None:
        super().__init__()
        self.mixes = tuple(tuple(op for op in ops if op != "none") for ops in choices)
        self.weights = tuple(1 / max(len(ops), 1) for ops in choices)
        shared = within.edges if within is not None else [nn.ModuleDict()] * len(choices)
        self.edges: nn.ModuleList = nn.ModuleList(
            nn.ModuleDict({op: kept.get_submodule(op) if within else _operation(op, channels) for op in mix})
            for mix, kept in zip(self.mixes, shared, strict=True)
        )

    def into(self, node: int) -> Iterator[tuple[int, float, list[nn.Module]]]:
        """Yield source node, weight and operations of each edge into `node` that has operations other than `none`."""
        for edge, weight, (source, end) in zip(self.edges, self.weights, EDGES, strict=True):
            operations = list(edge.children())
            if end == node and operations:
                yield source, weight, operations

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
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
    """The residual block between two stages, of stride 2.

    >>> ResidualBlock(4, 8)(torch.zeros(2, 4, 8, 8)).shape
    torch.Size([2, 8, 4, 4])
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = ReLUConvBN(inputs, outputs, 3, stride=2)
        self.second = ReLUConvBN(outputs, outputs, 3)
        self.pool = nn.AvgPool2d(2, ceil_mode=True)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, ⌈H / 2⌉, ⌈W / 2⌉)."""
        result: Tensor = self.shortcut(self.pool(images)) + self.second(self.first(images))
        return result


class Stem(nn.Module):
    """3x3 convolution and batch normalisation.

    >>> Stem(3, 16)(torch.zeros(2, 3, 8, 8)).shape
    torch.Size([2, 16, 8, 8])
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H, W)."""
        result: Tensor = self.norm(self.conv(images))
        return result


def imagenet_stem(channels: int) -> nn.Sequential:
    """Two parts, of two 3x3 convolutions of stride 2 and of a third (Liu et al., 2019: DARTS, its ImageNet network).

    >>> imagenet_stem(8)(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 8, 8, 8])
    """
    first = nn.Sequential(
        nn.Conv2d(3, channels // 2, 3, 2, 1, bias=False),
        nn.BatchNorm2d(channels // 2),
        nn.ReLU(),
        nn.Conv2d(channels // 2, channels, 3, 2, 1, bias=False),
        nn.BatchNorm2d(channels),
    )
    return nn.Sequential(first, ReLUConvBN(channels, channels, 3, stride=2))


class Network(nn.Module):
    """Stem, stages of cells with residual blocks between them, BN, ReLU, global average pooling, linear classifier.

    The benchmark has no network for photographs. Ours has the stem of DARTS's ImageNet network in place of the 3x3
    convolution, so that the three stages work at 28, 14 and 7 pixels for images of 224.

    Use `build` to check the choices and to initialise the weights from a generator.

    >>> network = Network((("skip_connect", "nor_conv_3x3"),) * 6, Skeleton(channels=4, cells=1))
    >>> network(torch.zeros(2, 3, 8, 8)).shape, network.features(torch.zeros(2, 3, 8, 8)).shape
    (torch.Size([2, 10]), torch.Size([2, 16]))
    """

    def __init__(self, choices: Choices, skeleton: Skeleton) -> None:
        super().__init__()
        self.choices = choices
        self.skeleton = skeleton
        channels = skeleton.channels
        self.stem: nn.Module | None = None
        if skeleton.stem:
            large = skeleton.photographs
            self.stem = imagenet_stem(channels) if large else Stem(skeleton.image_channels, channels)
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

    def restricted(self, choices: Choices) -> "Network":
        """The network of fewer operations. It shares all operations and weights with this one.

        >>> network = Network((("skip_connect", "nor_conv_3x3"),) * 6, Skeleton(channels=4, cells=1))
        >>> network.restricted((("nor_conv_3x3",),) * 6).choices[0]
        ('nor_conv_3x3',)
        """
        network = copy.copy(self)
        network._modules = dict(self._modules)
        network.choices = choices
        network.body = nn.ModuleList(
            CellModule(choices, 0, module) if isinstance(module, CellModule) else module
            for module in self.body
        )
        return network

    def features(self, images: Tensor) -> Tensor:
        """Map images (B, image channels, H, W) to pooled features (B, channels of the last stage)."""
        if self.stem is not None:
            images = self.stem(images)
        for module in self.body:
            images = module(images)
        pooled: Tensor = self.relu(self.norm(images)).mean((2, 3))
        return pooled

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, image channels, H, W) to logits (B, classes)."""
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
    """Build a network in train mode with weights drawn from `generator`.

    `initialisation` is a name in `INITIALISATIONS`. PyTorch's global generator is not used. The weights are drawn
    on the device of the generator, so a CPU generator gives the same weights on every device.

    Raises InvalidChoices, UnknownInitialisation.

    >>> cell = Cell.parse("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|")
    >>> network = build(choices_of(cell), Skeleton(channels=4, cells=1), torch.Generator().manual_seed(0))
    >>> network(torch.zeros(2, 3, 8, 8)).shape
    torch.Size([2, 10])
    """
    if len(choices) != len(EDGES):
        raise InvalidChoices(f"a network needs choices for {len(EDGES)} edges, not {len(choices)}")
    for mix in choices:
        for op in mix:
            if op not in OPERATIONS:
                raise InvalidChoices(f"unknown operation {op!r}; choose from {', '.join(OPERATIONS)}")
        if len(set(mix)) != len(mix):
            raise InvalidChoices(f"an edge may list each operation once, not {mix}")
    if skeleton.auxiliary or skeleton.drop_path or skeleton.dropout:
        raise InvalidChoices(
            "the NAS-Bench-201 network has no auxiliary head, drop-path or dropout; choose a recipe without"
        )
    with torch.device("meta"):
        network = Network(choices, skeleton)
    network.to_empty(device=device)
    initialise(network, initialisation, generator)
    return network.train()
