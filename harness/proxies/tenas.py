"""TE-NAS's two proxies: trainability and expressivity (Chen et al., 2021, sections 3.1 and 3.2)."""

from typing import Final

import torch
from torch import Tensor, nn

from nasgauge.harness.network import Network
from nasgauge.harness.ntk import Workspace, condition_number, kernel, kernel_by_rows
from nasgauge.harness.proxies.activations import distinct, relu_codes

GROUP: Final = 1000
"""Images that share batch statistics when regions are counted."""


def kappa(network: nn.Module, images: Tensor, workspace: Workspace | None = None) -> float:
    """Condition number of the tangent kernel of a batch in train mode; lower is better.

    NaN for a network without a path from input to output.
    """
    fast = isinstance(network, Network)
    kernel_BB = kernel(network, images, workspace) if fast else kernel_by_rows(network, images)  # type: ignore[arg-type] # narrowed by `fast`
    return condition_number(kernel_BB)


def regions(network: nn.Module, images: Tensor) -> int:
    """Different patterns of all ReLUs over the images, in groups of `GROUP`; at most their number."""
    return distinct(torch.cat([relu_codes(network, group) for group in torch.split(images, GROUP)]))
