"""Parameters that no path connects with the output of a network."""

from copy import deepcopy

import torch
from torch import nn


def freeze_unused(network: nn.Module, side: int) -> None:
    """Turn off gradients of parameters that never get one, as data-parallel training wants it; no weight changes by it.

    Such are the parameters of an operation whose output no other operation uses. `side` is that of the images in pixels.

    >>> from nasgauge.harness.network import Skeleton, build, choices_of
    >>> from nasgauge.spaces.cells import Cell
    >>> cell = Cell.parse("|nor_conv_1x1~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|")
    >>> network = build(choices_of(cell), Skeleton(channels=4, cells=1), torch.Generator().manual_seed(0))
    >>> freeze_unused(network, side=8)
    >>> sum(not weight.requires_grad for weight in network.parameters())
    9
    """
    shape = deepcopy(network).to("meta").train()  # without values nothing is computed, and nothing is drawn
    outputs = shape(torch.empty(2, 3, side, side, device="meta"))
    heads = outputs if isinstance(outputs, tuple) else (outputs,)
    total = torch.stack([head.sum() for head in heads]).sum()
    gradients = torch.autograd.grad(total, list(shape.parameters()), allow_unused=True)
    for weight, gradient in zip(network.parameters(), gradients, strict=True):
        if gradient is None:
            weight.requires_grad_(False)
