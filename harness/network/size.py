"""Number of parameters and multiply-adds of a network, counted as in NAS-Bench-201."""

from typing import Any

import torch
from torch import Tensor, nn


def parameters(network: nn.Module) -> int:
    """Number of parameters, including those on edges that no path from input to output uses.

    >>> parameters(nn.Linear(3, 2))
    8
    """
    return sum(parameter.numel() for parameter in network.parameters())


@torch.no_grad()
def flops(network: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """Multiply-adds of one forward pass on an image of shape (C, H, W).

    Counts convolutions and linear layers with their biases; pooling, normalisation and sums count zero. NAS-Bench-201
    reports the same quantity in millions under the name `flop`.

    >>> flops(nn.Conv2d(3, 8, 3, padding=1, bias=False), (3, 4, 4))
    3456
    """
    total = 0

    def count(module: nn.Module, _inputs: Any, output: Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d):
            total += output.numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            total += module.weight.numel() + (len(module.weight) * (module.bias is not None))

    hooks = [module.register_forward_hook(count) for module in network.modules()]
    mode = network.training
    try:
        network.eval()  # the running statistics must not change
        weight = next(network.parameters())
        network(torch.zeros((1, *image_shape), device=weight.device, dtype=weight.dtype))
    finally:
        network.train(mode)
        for hook in hooks:
            hook.remove()
    return total
