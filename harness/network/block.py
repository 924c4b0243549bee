"""Networks of PNAS's block cells (Liu et al., 2018, sections 3.1 and 4.1), small enough to search on.

A stem, then three times N cells; the first cell of the second and third part halves height and width and
doubles the channels. A cell squeezes its two inputs to its own channels, adds the two arms of each block, and
gives all blocks, concatenated. Auxiliary heads and drop-path, of the final training alone, are left out.
"""

import torch
from torch import Tensor, nn

from nasgauge.harness.network.darts import Halve, Separable
from nasgauge.harness.network.initialise import initialise
from nasgauge.harness.network.nb201 import ReLUConvBN, Skeleton, Stem
from nasgauge.spaces.block_cells import Arm, BlockCell

_STEM_WIDTH = 3
"""Channels of the stem, in those of the first cell."""


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
    """One cell; with `halves` the arms that read its two inputs have stride 2."""

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
        """Outputs of the previous cell and of the one before it to (B, blocks · channels, H, W)."""
        values = [self.last(last), self.before(before)]
        operators = iter(self.arms)

        def deliver(arm: Arm) -> Tensor:
            delivered: Tensor = next(operators)(values[arm.source])
            return delivered

        for one, other in self.cell.blocks:
            values.append(deliver(one) + deliver(other))
        return torch.cat(values[2:], 1)


class BlocksNetwork(nn.Module):
    """Stem, three parts of cells, ReLU, pooling, linear classifier."""

    def __init__(self, cell: BlockCell, skeleton: Skeleton) -> None:
        super().__init__()
        channels, blocks = skeleton.channels, len(cell.blocks)
        self.stem = Stem(skeleton.image_channels, _STEM_WIDTH * channels)
        last = before = _STEM_WIDTH * channels
        late = False  # the output before the last is twice as high and wide
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
        """(B, 3, H, W) to logits (B, classes)."""
        last = before = self.stem(images)
        for module in self.body:
            last, before = module(last, before), last
        logits: Tensor = self.classifier(self.relu(last).mean((2, 3)))
        return logits


def build_blocks(cell: BlockCell, skeleton: Skeleton, generator: torch.Generator) -> BlocksNetwork:
    """A network in train mode with weights drawn from `generator`, as torch would draw them."""
    with torch.device("meta"):
        network = BlocksNetwork(cell, skeleton)
    network.to_empty(device="cpu")
    initialise(network, "default", generator)
    return network.train()
