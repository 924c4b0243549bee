"""A context manager that restores the state of a network."""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn


@contextlib.contextmanager
def unchanged(network: nn.Module) -> Iterator[None]:
    """Restore parameters, buffers, gradients, `requires_grad` flags and train/eval modes on exit.

    Gradients are `None` on entry.

    >>> layer = nn.Linear(2, 2)
    >>> before = layer.weight.tolist()
    >>> with unchanged(layer):
    ...     _ = nn.init.zeros_(layer.weight)
    >>> layer.weight.tolist() == before
    True
    """
    modes = [(module, module.training) for module in network.modules()]
    parameters = [(p, p.detach().clone(), p.requires_grad, p.grad) for p in network.parameters()]
    buffers = [(buffer, buffer.clone()) for buffer in network.buffers()]
    for parameter, _, _, _ in parameters:
        parameter.grad = None
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, value, requires_grad, gradient in parameters:
                parameter.copy_(value)
                parameter.requires_grad_(requires_grad)
                parameter.grad = gradient
            for buffer, value in buffers:
                buffer.copy_(value)
        for module, mode in modes:
            module.training = mode
