"""Looking at a network without leaving a trace."""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn


@contextlib.contextmanager
def unchanged(network: nn.Module) -> Iterator[None]:
    """Afterwards weights, buffers, gradients, modes and what asks for gradients are as they were."""
    modes = [(module, module.training) for module in network.modules()]
    parameters = [(p, p.detach().clone(), p.requires_grad, p.grad) for p in network.parameters()]
    buffers = [(buffer, buffer.clone()) for buffer in network.buffers()]
    for parameter, _, _, _ in parameters:
        parameter.grad = None
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, value, asks, gradient in parameters:
                parameter.copy_(value)
                parameter.requires_grad_(asks)
                parameter.grad = gradient
            for buffer, value in buffers:
                buffer.copy_(value)
        for module, mode in modes:
            module.training = mode
