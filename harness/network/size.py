"""Size of a network, counted as NAS-Bench-201 counts it."""

from typing import Any

import torch
from torch import Tensor, nn


def parameters(network: nn.Module) -> int:
    """Trainable weights, all edges included, also those that no path uses."""
    return sum(parameter.numel() for parameter in network.parameters())


@torch.no_grad()
def flops(network: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """Multiply-accumulates for one image (C, H, W) in convolutions and linear layers, biases counted too.

    This is the benchmark's `flop` (in millions there): pooling, normalisation and sums cost nothing.
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
        network.eval()  # batch statistics of one image must not touch the running ones
        weight = next(network.parameters())
        network(torch.zeros((1, *image_shape), device=weight.device, dtype=weight.dtype))
    finally:
        network.train(mode)
        for hook in hooks:
            hook.remove()
    return total
