"""The forward pass in train mode that most proxies start from."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from nasgauge.harness.network.inputs import check_images
from nasgauge.harness.proxies.batch import Batch


class Forward(NamedTuple):
    """A forward pass whose graph is kept for backward passes, on copies of the weights."""

    logits: Tensor
    images: Tensor
    weights: tuple[Tensor, ...]
    """Of each convolution and linear layer, in the order of the network's modules."""
    outputs: tuple[Tensor, ...]
    """Of the same layers."""
    rectified: tuple[tuple[Tensor, Tensor], ...]
    """Input and output of each ReLU."""


def weighted(module: nn.Module) -> bool:
    """Whether a module is a convolution or a linear layer: the layers whose weights count (Abdelfattah et al., 2021).

    >>> weighted(nn.Linear(2, 2)), weighted(nn.BatchNorm2d(2))
    (True, False)
    """
    return isinstance(module, nn.Conv2d | nn.Linear)


def forward(network: nn.Module, batch: Batch) -> Forward:
    """Run the network in train mode; its running statistics, weights and mode stay as they are.

    Raises InvalidBatch.

    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(3, 2), nn.ReLU())
    >>> batch = Batch(torch.ones(4, 3, 1, 1), torch.zeros(4), torch.Generator())
    >>> run = forward(network, batch)
    >>> run.logits.shape, len(run.weights), len(run.outputs), len(run.rectified)
    (torch.Size([4, 2]), 1, 1, 1)
    """
    check_images(batch.images, network)
    layers = {name: module for name, module in network.named_modules() if weighted(module)}
    values = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    weights = tuple(values[f"{name}.weight" if name else "weight"].requires_grad_() for name in layers)
    outputs: dict[nn.Module, Tensor] = {}
    rectified: list[tuple[Tensor, Tensor]] = []

    def keep_output(module: nn.Module, _inputs: object, output: Tensor) -> None:
        outputs[module] = output

    def keep_both(_module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        rectified.append((inputs[0], output.detach()))

    hooks = [layer.register_forward_hook(keep_output) for layer in layers.values()]
    hooks += [m.register_forward_hook(keep_both) for m in network.modules() if isinstance(m, nn.ReLU)]
    modes = [(module, module.training) for module in network.modules()]
    images = batch.images.detach().clone().requires_grad_()
    try:
        network.train()
        buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
        with torch.enable_grad():
            logits = torch.func.functional_call(network, (values, buffers), (images,))
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes:
            module.training = mode
    return Forward(
        logits, images, weights, tuple(outputs[layer] for layer in layers.values()), tuple(rectified)
    )
