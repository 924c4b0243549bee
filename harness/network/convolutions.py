"""Convolutions that PyTorch 2.14 computes wrongly on CPUs with channels last, computed in another way."""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

_BLOCK: Final = 16
"""Channels that oneDNN takes together: 16 with AVX-512, 8 with AVX2."""


class Depthwise(nn.Conv2d):
    """A depthwise convolution, computed in float32 where PyTorch's bfloat16 is wrong.

    Weight gradients of dilated ones are wrong, without a warning, for maps of 32 pixels and more in bfloat16.
    """

    def __init__(self, channels: int, kernel: int, stride: int, dilation: int) -> None:
        pad = dilation * (kernel // 2)
        super().__init__(channels, channels, kernel, stride, pad, dilation, groups=channels, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, ⌈H / stride⌉, ⌈W / stride⌉)."""
        if images.device.type != "cpu" or self.dilation[0] == 1 or not torch.is_autocast_enabled("cpu"):
            return super().forward(images)
        with torch.autocast("cpu", enabled=False):
            return super().forward(images.float())


class Pointwise(nn.Conv2d):
    """A 1x1 convolution, whose pixels are taken beforehand where a stride goes wrong.

    Weight gradients of a 1x1 convolution with a stride and few input channels are written outside their memory: they are
    wrong, or the process crashes (oneDNN, issue 6035).

    >>> Pointwise(4, 6, stride=2)(torch.zeros(2, 4, 8, 8)).shape
    torch.Size([2, 6, 4, 4])
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, 1, stride, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, ⌈H / stride⌉, ⌈W / stride⌉)."""
        step = self.stride[0]
        if images.device.type != "cpu" or step == 1 or self.in_channels >= _BLOCK:
            return super().forward(images)
        return conv2d(images[:, :, ::step, ::step], self.weight)
