"""The proxies by name: pure functions of an untrained network and a batch, higher is better.

Each is deterministic for a given generator, runs on any device, and leaves the network's weights, buffers,
gradients and mode as they were. Where it is not defined it gives NaN.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from torch import nn

from nasgauge.harness.network.size import flops, parameters
from nasgauge.harness.proxies.activations import jacov, naswot, zen
from nasgauge.harness.proxies.batch import Batch
from nasgauge.harness.proxies.gradients import fisher, grad_norm, grasp, l2_norm, plain, snip, synflow, zico
from nasgauge.harness.proxies.tenas import expressivity, trainability

Proxy = Callable[[nn.Module, Batch], float]


def _flops(network: nn.Module, batch: Batch) -> float:
    """Multiply-accumulates for one image."""
    return float(flops(network, tuple(batch.images.shape[1:])))  # type: ignore[arg-type] # three sides


def _parameters(network: nn.Module, batch: Batch) -> float:  # noqa: ARG001 - all proxies are called alike
    """Trainable weights."""
    return float(parameters(network))


PROXIES: Final[Mapping[str, Proxy]] = MappingProxyType(
    {
        "fisher": fisher,
        "flops": _flops,
        "grad_norm": grad_norm,
        "grasp": grasp,
        "jacov": jacov,
        "kappa": trainability,
        "l2_norm": l2_norm,
        "naswot": naswot,
        "params": _parameters,
        "plain": plain,
        "regions": expressivity,
        "snip": snip,
        "synflow": synflow,
        "zen": zen,
        "zico": zico,
    }
)
"""All proxies by name."""
