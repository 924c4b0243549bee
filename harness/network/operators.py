"""The operators of block cells, as PyTorch modules (Zoph et al., 2018; Liu et al., 2018: PNAS; Liu et al., 2019: DARTS)."""

import torch
from torch import Tensor, nn

from nasgauge.harness.network.convolutions import Depthwise, Pointwise
from nasgauge.harness.network.nb201 import ReLUConvBN


class Separable(nn.Sequential):
    """ReLU, depthwise convolution, pointwise convolution, batch normalisation.

    >>> Separable(4, 8, kernel=3, stride=2)(torch.zeros(2, 4, 8, 8)).shape
    torch.Size([2, 8, 4, 4])
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, dilation: int = 1) -> None:
        super().__init__(
            nn.ReLU(),
            Depthwise(inputs, kernel, stride, dilation),
            Pointwise(inputs, outputs),
            nn.BatchNorm2d(outputs),
        )


class Halve(nn.Module):
    """Factorised reduction: two 1x1 convolutions of stride 2, offset by one pixel, whose outputs are concatenated.

    >>> Halve(4, 6)(torch.zeros(2, 4, 8, 8)).shape
    torch.Size([2, 6, 4, 4])
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.even = Pointwise(inputs, outputs // 2, stride=2)
        self.odd = Pointwise(inputs, outputs - outputs // 2, stride=2)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, ⌈H / 2⌉, ⌈W / 2⌉)."""
        rectified = self.relu(images)
        shifted = nn.functional.pad(rectified, (0, 1, 0, 1))[:, :, 1:, 1:]
        result: Tensor = self.norm(torch.cat([self.even(rectified), self.odd(shifted)], 1))
        return result


def operator(name: str, inputs: int, outputs: int, stride: int = 1, *, halve: bool = True) -> nn.Module:
    """The operator of that name in `nasgauge.spaces.block_genotypes.ALL_OPERATIONS`.

    A pool that changes the number of channels is followed by a 1x1 convolution and batch normalisation. An identity
    with a stride or another number of channels is a factorised reduction, or with `halve=False` a 1x1 convolution.

    >>> operator("max_pool_3x3", 4, 6, stride=2)(torch.zeros(2, 4, 8, 8)).shape
    torch.Size([2, 6, 4, 4])
    """
    kernel = int(name[-1]) if name[-1].isdigit() else 1
    if name.startswith("sep_conv"):
        return nn.Sequential(
            Separable(inputs, outputs, kernel, stride), Separable(outputs, outputs, kernel, 1)
        )
    if name.startswith("dil_conv"):
        return Separable(inputs, outputs, kernel, stride, dilation=2)
    if name == "conv_7x1_1x7":
        return nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(inputs, outputs, (1, 7), (1, stride), (0, 3), bias=False),
            nn.Conv2d(outputs, outputs, (7, 1), (stride, 1), (3, 0), bias=False),
            nn.BatchNorm2d(outputs),
        )
    if name == "skip_connect":
        if stride == 1 and inputs == outputs:
            return nn.Identity()
        return Halve(inputs, outputs) if halve else ReLUConvBN(inputs, outputs, 1, stride)
    pool = (
        nn.AvgPool2d(3, stride, 1, count_include_pad=False)
        if name == "avg_pool_3x3"
        else nn.MaxPool2d(3, stride, 1)
    )
    if inputs == outputs:
        return pool
    return nn.Sequential(pool, Pointwise(inputs, outputs), nn.BatchNorm2d(outputs))
