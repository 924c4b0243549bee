"""Networks of the DARTS search space in the size that TE-NAS scores: two cells (Chen et al., 2021, appendix A).

Each cell has two inputs, four intermediate nodes and 14 edges. Its output is the concatenation of the
intermediate nodes. As in the NAS-Bench-201 networks, an edge averages its candidate operations, and an edge
without operations contributes nothing. A final architecture has two incoming edges with one operation per node.
"""

import torch
from torch import Tensor, nn

from nasgauge.harness.network.nb201 import Choices, InvalidChoices, ReLUConvBN, Stem
from nasgauge.harness.network.operators import operator
from nasgauge.spaces.block_genotypes import EDGES, EDGES_IN_CELL, NODES, OPERATIONS


class BlockCellModule(nn.Module):
    """A normal cell or, with `reduction`, a cell of stride 2.

    `before_last` and `last` are the channels of its two inputs. `choices` has one entry for each of 14 edges.

    >>> cell = BlockCellModule((("skip_connect",),) * 14, 3, 3, 4, reduction=True)
    >>> cell(torch.zeros(2, 3, 8, 8), torch.zeros(2, 3, 8, 8)).shape
    torch.Size([2, 16, 4, 4])
    """

    def __init__(
        self, choices: Choices, before_last: int, last: int, channels: int, *, reduction: bool
    ) -> None:
        super().__init__()
        self.first = ReLUConvBN(before_last, channels, 1)
        self.second = ReLUConvBN(last, channels, 1)
        self.stride = 2 if reduction else 1
        self.channels = channels
        self.edges = nn.ModuleList(
            nn.ModuleDict(
                {op: operator(op, channels, channels, self.stride if source < 2 else 1) for op in operations}
            )
            for operations, (source, _) in zip(choices, EDGES, strict=True)
        )

    def forward(self, before_last: Tensor, last: Tensor) -> Tensor:
        """Map the outputs of the two previous cells, (B, C, H, W) each, to (B, 4 · channels, H / stride, W / stride)."""
        nodes = [self.first(before_last), self.second(last)]
        height, width = (-(-side // self.stride) for side in nodes[0].shape[2:])
        for node in range(2, 2 + NODES):
            total = nodes[0].new_zeros((len(last), self.channels, height, width))
            for edge, (source, into) in zip(self.edges, EDGES, strict=True):
                operations = list(edge.children())
                if into == node and operations:
                    terms = [operation(nodes[source]) for operation in operations]
                    total = total + torch.stack(terms).mean(0)
            nodes.append(total)
        return torch.cat(nodes[2:], 1)


class BlockNetwork(nn.Module):
    """A normal cell and a reduction cell, then BN, ReLU, global average pooling and a linear classifier.

    The reduction cell has twice as many channels as the normal cell. With `stem` the input is an image of three
    channels; without, it has `channels` channels. `choices` lists the operations of the 14 edges of the normal
    cell, then of the reduction cell.

    Raises InvalidChoices.

    >>> network = BlockNetwork((("skip_connect", "sep_conv_3x3"),) * 28, stem=True)
    >>> network(torch.zeros(2, 3, 8, 8)).shape
    torch.Size([2, 10])
    """

    def __init__(self, choices: Choices, *, stem: bool, channels: int = 1, classes: int = 10) -> None:
        super().__init__()
        if len(choices) != 2 * EDGES_IN_CELL:
            raise InvalidChoices(f"two cells need choices for {2 * EDGES_IN_CELL} edges, not {len(choices)}")
        for operation in {operation for mix in choices for operation in mix}:
            if operation not in OPERATIONS:
                raise InvalidChoices(f"unknown operation {operation!r}; choose from {', '.join(OPERATIONS)}")
        self.stem = Stem(3, channels) if stem else nn.Identity()
        wide = NODES * channels
        normal, reduce = choices[:EDGES_IN_CELL], choices[EDGES_IN_CELL:]
        self.normal = BlockCellModule(normal, channels, channels, channels, reduction=False)
        self.reduce = BlockCellModule(reduce, channels, wide, 2 * channels, reduction=True)
        self.norm = nn.BatchNorm2d(2 * wide)
        self.relu = nn.ReLU()
        self.classifier = nn.Linear(2 * wide, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, 3 or `channels`, H, W) to logits (B, classes)."""
        start = self.stem(images)
        last = self.reduce(start, self.normal(start, start))
        logits: Tensor = self.classifier(self.relu(self.norm(last)).mean((2, 3)))
        return logits
