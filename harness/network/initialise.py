"""How weights are drawn, from a generator that is handed in."""

import math
from collections.abc import Callable
from types import MappingProxyType
from typing import Final

import torch
from torch import Tensor, nn

from nasgauge.spaces.errors import NasgaugeError


class UnknownInitialisation(NasgaugeError, LookupError):
    """A name that stands for no initialisation."""


def _fans(weight: Tensor) -> tuple[int, int]:
    window = weight[0, 0].numel()
    return weight.shape[1] * window, weight.shape[0] * window


def _default(layer: nn.Conv2d | nn.Linear, generator: torch.Generator) -> None:
    """What torch's own constructors draw: uniform in ±1/sqrt(fan in), weights and biases."""
    bound = 1 / math.sqrt(_fans(layer.weight)[0])
    _uniform(layer.weight, bound, generator)
    if layer.bias is not None:
        _uniform(layer.bias, bound, generator)


def _kaiming(fan: int) -> Callable[[nn.Conv2d | nn.Linear, torch.Generator], None]:
    def draw(layer: nn.Conv2d | nn.Linear, generator: torch.Generator) -> None:
        drawn = torch.randn(layer.weight.shape, generator=generator, device=generator.device)
        layer.weight.copy_(drawn * math.sqrt(2 / _fans(layer.weight)[fan]))
        if layer.bias is not None:
            layer.bias.zero_()

    return draw


def _normal(layer: nn.Conv2d | nn.Linear, generator: torch.Generator) -> None:
    layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator, device=generator.device))
    if layer.bias is not None:
        layer.bias.zero_()


def _uniform(tensor: Tensor, bound: float, generator: torch.Generator) -> None:
    drawn = torch.rand(tensor.shape, generator=generator, device=generator.device)
    tensor.copy_((2 * drawn - 1) * bound)


INITIALISATIONS: Final = MappingProxyType(
    {
        "default": _default,
        "kaiming_fan_in": _kaiming(0),
        "kaiming_fan_out": _kaiming(1),
        "standard_normal": _normal,
    }
)
"""Ways to draw the weights of convolutions and linear layers; `default` is torch's, `kaiming_*` are the
normal draws of He et al. (2015) with gain sqrt(2) and biases of 0, `standard_normal` is what zen-score
asks for."""


@torch.no_grad()
def initialise(network: nn.Module, name: str, generator: torch.Generator) -> None:
    """Draw all weights anew, module by module in order; batch normalisation starts at scale 1, shift 0.

    Raises UnknownInitialisation.
    """
    try:
        draw = INITIALISATIONS[name]
    except KeyError:
        raise UnknownInitialisation(
            f"unknown initialisation {name!r}; choose from {', '.join(INITIALISATIONS)}"
        ) from None
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            draw(module, generator)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            if module.affine:
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)
