"""Networks of PNAS block cells, in the small size used during search (Liu et al., 2018, sections 3.1 and 4.1).

The network is a stem followed by three stages of N cells. The first cell of the second and third stage halves
height and width and doubles the channels. A cell projects its two inputs to its own number of channels, adds the
two arms of each block, and concatenates all blocks. Auxiliary heads and drop-path are not implemented: PNAS uses
them only in the final training.
"""

import torch
from torch import Tensor, nn

from nasgauge.harness.network.darts import Halve, Separable
from nasgauge.harness.network.initialise import initialise
from nasgauge.harness.network.nb201 import ReLUConvBN, Skeleton, Stem
from nasgauge.spaces.block_cells import Arm, BlockCell

_STEM_WIDTH = 3
"""Channels of the stem, as a multiple of the channels of the first cell."""


def _operator(name: str, channels: int, stride: int) -> nn.Module:
    if name.startswith("sep_conv"):
        size = int(name[-1])
        first = Separable(channels, channels, size, stride)
        return nn.Sequential(first, Separable(channels, channels, size, 1))
    if name == "dil_conv_3x3":
        return Separable(channels, channels, 3, stride, dilation=2)
    if name == "conv_1x7_7x1":
        return nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(channels, channels, (1, 7), (1, stride), (0, 3), bias=False),
            nn.Conv2d(channels, channels, (7, 1), (stride, 1), (3, 0), bias=False),
            nn.BatchNorm2d(channels),
        )
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride, 1, count_include_pad=False)
    if name == "max_pool_3x3":
        return nn.MaxPool2d(3, stride, 1)
    return nn.Identity() if stride == 1 else ReLUConvBN(channels, channels, 1, stride)


class BlocksModule(nn.Module):
    """One cell. With `halves`, the arms that read its two inputs have stride 2.

    `last` and `before` are the channels of the outputs of the previous cell and of the cell before that. `late`
    says that the latter is twice as high and wide as the former.

    >>> cell = BlockCell.parse("sep_conv_3x3(h1)+identity(h2) | max_pool_3x3(b1)+identity(h1)")
    >>> module = BlocksModule(cell, last=6, before=6, channels=4, halves=True, late=False)
    >>> module(torch.zeros(2, 6, 8, 8), torch.zeros(2, 6, 8, 8)).shape
    torch.Size([2, 8, 4, 4])
    """

    def __init__(
        self, cell: BlockCell, last: int, before: int, channels: int, *, halves: bool, late: bool
    ) -> None:
        super().__init__()
        self.cell = cell
        self.last = ReLUConvBN(last, channels, 1)
        self.before = Halve(before, channels) if late else ReLUConvBN(before, channels, 1)
        self.arms = nn.ModuleList(
            _operator(arm.operator, channels, 2 if halves and arm.source < 2 else 1)
            for block in cell.blocks
            for arm in block
        )

    def forward(self, last: Tensor, before: Tensor) -> Tensor:
        """Map the outputs of the two previous cells, (B, C, H, W) each, to (B, blocks · channels, H / stride, W / stride)."""
        values = [self.last(last), self.before(before)]
        operators = iter(self.arms)

        def apply(arm: Arm) -> Tensor:
            output: Tensor = next(operators)(values[arm.source])
            return output

        for one, other in self.cell.blocks:
            values.append(apply(one) + apply(other))
        return torch.cat(values[2:], 1)


class BlocksNetwork(nn.Module):
    """Stem, stages of cells, ReLU, global average pooling, linear classifier.

    Use `build_blocks` to initialise the weights from a generator.

    >>> network = BlocksNetwork(BlockCell.parse("identity(h1)+max_pool_3x3(h2)"), Skeleton(channels=4, cells=1))
    >>> network(torch.zeros(2, 3, 8, 8)).shape
    torch.Size([2, 10])
    """

    def __init__(self, cell: BlockCell, skeleton: Skeleton) -> None:
        super().__init__()
        channels, blocks = skeleton.channels, len(cell.blocks)
        self.stem = Stem(skeleton.image_channels, _STEM_WIDTH * channels)
        last = before = _STEM_WIDTH * channels
        late = False  # whether the older input is twice as high and wide as the newer one
        body = []
        for place in range(skeleton.stages * skeleton.cells):
            halves = place > 0 and place % skeleton.cells == 0
            channels *= 2 if halves else 1
            body.append(BlocksModule(cell, last, before, channels, halves=halves, late=late))
            last, before, late = blocks * channels, last, halves
        self.body = nn.ModuleList(body)
        self.relu = nn.ReLU()
        self.classifier = nn.Linear(last, skeleton.classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to logits (B, classes)."""
        last = before = self.stem(images)
        for module in self.body:
            last, before = module(last, before), last
        logits: Tensor = self.classifier(self.relu(last).mean((2, 3)))
        return logits


def build_blocks(cell: BlockCell, skeleton: Skeleton, generator: torch.Generator) -> BlocksNetwork:
    """Build a network in train mode, on the CPU, with weights drawn from `generator` by PyTorch's default scheme.

    >>> cell = BlockCell.parse("sep_conv_3x3(h1)+identity(h2)")
    >>> network = build_blocks(cell, Skeleton(channels=4, cells=1), torch.Generator().manual_seed(0))
    >>> network(torch.zeros(2, 3, 8, 8)).shape
    torch.Size([2, 10])
    """
    with torch.device("meta"):
        network = BlocksNetwork(cell, skeleton)
    network.to_empty(device="cpu")
    initialise(network, "default", generator)
    return network.train()
