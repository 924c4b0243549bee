"""Parameters that no path connects with the output of a network."""

from copy import deepcopy

import torch
from torch import nn


def freeze_unused(network: nn.Module, side: int) -> None:
    """Turn off gradients of parameters that never get one, as data-parallel training wants it; no weight changes by it.

    Such are the parameters of an operation whose output no other operation uses. `side` is that of the images in pixels.

    >>> network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Linear(16, 2))
    >>> network.forgotten = nn.Linear(2, 2)
    >>> network.forward = lambda images: network[2](network[1](network[0](images)))
    >>> freeze_unused(network, side=2)
    >>> [name for name, weight in network.named_parameters() if not weight.requires_grad]
    ['forgotten.weight', 'forgotten.bias']
    """
    shape = deepcopy(network).to("meta").train()  # without values nothing is computed, and nothing is drawn
    outputs = shape(torch.empty(2, 3, side, side, device="meta"))
    heads = outputs if isinstance(outputs, tuple) else (outputs,)
    total = torch.stack([head.sum() for head in heads]).sum()
    gradients = torch.autograd.grad(total, list(shape.parameters()), allow_unused=True)
    for weight, gradient in zip(network.parameters(), gradients, strict=True):
        if gradient is None:
            weight.requires_grad_(False)
