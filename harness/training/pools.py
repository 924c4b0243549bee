"""3x3 average pooling as a depthwise convolution, which is much faster on CPUs.

PyTorch's average pooling has no fast CPU kernel for bfloat16 or for channels-last tensors. Forward and backward pass of
a batch of 256 × 16 × 32 × 32 take 289 ms on one core, with a depthwise convolution 23 ms.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d


class ConvolvedPool(nn.Module):
    """3x3 average pooling of stride 1 that excludes the padding.

    >>> images = torch.arange(16.0).view(1, 1, 4, 4)
    >>> pool = nn.AvgPool2d(3, 1, 1, count_include_pad=False)
    >>> torch.allclose(ConvolvedPool()(images), pool(images))
    True
    """

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        channels, height, width = images.shape[1:]
        ones = images.new_ones((channels, 1, 3, 3))
        with torch.autocast(images.device.type, enabled=False):
            sums = conv2d(images, ones, padding=1, groups=channels)
            shares = 1 / (_inside(height, images.device)[:, None] * _inside(width, images.device))
            return (sums * shares).to(
                images.dtype
            )  # in float32, because 1/9 has an error of 0.2 % in bfloat16


def _inside(length: int, device: torch.device) -> Tensor:
    """For each position, how many of its three neighbours are inside the image, (length,)."""
    place = torch.arange(length, device=device)
    return 3.0 - (place == 0).float() - (place == length - 1).float()


def convolve_pools(network: nn.Module) -> None:
    """Replace every 3x3 average pool of stride 1 in a network by a `ConvolvedPool`, in place.

    >>> network = nn.Sequential(nn.AvgPool2d(3, 1, 1, count_include_pad=False))
    >>> convolve_pools(network)
    >>> network
    Sequential(
      (0): ConvolvedPool()
    )
    """
    for module in network.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.AvgPool2d) and child.kernel_size == 3 and child.stride == 1:
                setattr(module, name, ConvolvedPool())
