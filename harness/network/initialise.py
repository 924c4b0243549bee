"""Weight initialisation from an explicit random generator."""

import math
from collections.abc import Callable
from types import MappingProxyType
from typing import Final

import torch
from torch import Tensor, nn

from nasgauge.spaces.errors import NasgaugeError


class UnknownInitialisation(NasgaugeError, LookupError):
    """Raised for the name of an initialisation that does not exist."""


def _fan_in(layer: nn.Conv2d | nn.Linear) -> int:
    return layer.weight[0].numel()


def _fan_out(layer: nn.Conv2d | nn.Linear) -> int:
    return layer.weight[:, 0].numel()


def _fan_out_per_group(layer: nn.Conv2d | nn.Linear) -> int:
    return _fan_out(layer) // (layer.groups if isinstance(layer, nn.Conv2d) else 1)


def _default(layer: nn.Conv2d | nn.Linear, generator: torch.Generator) -> None:
    """PyTorch's default: weights and biases uniform in ±1/sqrt(fan in)."""
    bound = 1 / math.sqrt(_fan_in(layer))
    _uniform(layer.weight, bound, generator)
    if layer.bias is not None:
        _uniform(layer.bias, bound, generator)


def _kaiming(
    fan: Callable[[nn.Conv2d | nn.Linear], int],
) -> Callable[[nn.Conv2d | nn.Linear, torch.Generator], None]:
    def draw(layer: nn.Conv2d | nn.Linear, generator: torch.Generator) -> None:
        drawn = torch.randn(layer.weight.shape, generator=generator, device=generator.device)
        layer.weight.copy_(drawn * math.sqrt(2 / fan(layer)))
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
        "kaiming_fan_in": _kaiming(_fan_in),
        "kaiming_fan_out": _kaiming(_fan_out),
        "kaiming_fan_out_per_group": _kaiming(_fan_out_per_group),
        "standard_normal": _normal,
    }
)
"""Initialisations of convolutions and linear layers by name.

`default` is PyTorch's. `kaiming_fan_in` and `kaiming_fan_out` are normal with gain sqrt(2) and zero biases (He et
al., 2015). PyTorch counts all channels of a depthwise convolution as its fan out; `kaiming_fan_out_per_group` counts those
of one group, as TensorFlow does, in which the networks of PNAS were written. `standard_normal` is N(0, 1), as the Zen-score
prescribes (Lin et al., 2021).
"""


@torch.no_grad()
def initialise(network: nn.Module, name: str, generator: torch.Generator) -> None:
    """Initialise all weights of a network in place, in the order of its modules.

    Batch normalisation starts with scale 1, shift 0 and reset running statistics.

    Raises UnknownInitialisation.

    >>> layer = nn.Linear(2, 2)
    >>> initialise(layer, "kaiming_fan_in", torch.Generator().manual_seed(0))
    >>> layer.bias.tolist()
    [0.0, 0.0]
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
