"""The two proxies of TE-NAS: trainability and expressivity (Chen et al., 2021, sections 3.1 and 3.2)."""

from typing import Final

import torch
from torch import Tensor, nn

from nasgauge.harness.network import Network
from nasgauge.harness.network.darts import BlockNetwork
from nasgauge.harness.ntk import Workspace, condition_number, kernel, kernel_at_once, kernel_by_rows
from nasgauge.harness.proxies.activations import distinct, relu_codes

GROUP: Final = 1000
"""Batch size, and so the images that share batch statistics, when regions are counted."""


def kappa(network: nn.Module, images: Tensor, workspace: Workspace | None = None) -> float:
    """Condition number of the neural tangent kernel of a batch in train mode; lower is better.

    `images` is a float tensor (B, C, H, W). The result is NaN for a network without a path from input to output. Pass
    the same `workspace` to successive calls to reuse memory.

    Raises InvalidBatch.

    >>> from nasgauge.harness.network import Skeleton, build
    >>> generator = torch.Generator().manual_seed(0)
    >>> network = build((("nor_conv_3x3",),) * 6, Skeleton(channels=3, cells=1), generator)
    >>> images = torch.randn(8, 3, 8, 8, generator=generator)
    >>> kappa(network, images) > 1
    True
    """
    if isinstance(network, Network):
        return condition_number(kernel(network, images, workspace))
    many = kernel_at_once if isinstance(network, BlockNetwork) else kernel_by_rows
    return condition_number(many(network, images))


def regions(network: nn.Module, images: Tensor) -> int:
    """Number of linear regions: distinct activation patterns of all ReLUs over `images`, at most B; higher is better.

    `images` is a float tensor (B, C, H, W), evaluated in batches of `GROUP`.

    Raises InvalidBatch.

    >>> from nasgauge.harness.network import Skeleton, build
    >>> generator = torch.Generator().manual_seed(0)
    >>> network = build((("nor_conv_3x3",),) * 6, Skeleton(channels=3, cells=1), generator)
    >>> images = torch.randn(8, 3, 8, 8, generator=generator)
    >>> regions(network, images)
    8
    """
    return distinct(torch.cat([relu_codes(network, group) for group in torch.split(images, GROUP)]))
