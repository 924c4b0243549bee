"""Zero-cost proxies by name: scores of untrained networks, higher is better.

Installed packages, nasgauge among them, declare theirs through the entry-point group `nasgauge.proxies`. Each is
deterministic for a given generator, runs on any device, and leaves the network's weights, buffers, gradients and
mode as they were. Where it is not defined it gives NaN.
"""

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Final

from torch import nn

from nasgauge.data.plugins import NameClash, PluginFailed, declared, load
from nasgauge.harness.network import size
from nasgauge.harness.proxies import activations, gradients, tenas
from nasgauge.harness.proxies.batch import Batch
from nasgauge.spaces.errors import NasgaugeError


class InvalidProxy(NasgaugeError, ValueError):
    """An entry point of the group `nasgauge.proxies` that points at something else."""


class BrokenProxy(UserWarning):
    """A declared proxy that was left out because it cannot be loaded."""


@dataclass(frozen=True)
class Proxy:
    """A zero-cost proxy; called with a network and a batch it gives the score, higher is better.

    An installed package adds one by pointing an entry point of the group `nasgauge.proxies` at such a value.

    >>> def weights(network: nn.Module, batch: Batch) -> float:
    ...     return float(sum(p.numel() for p in network.parameters()))
    >>> smallest = Proxy(weights, higher_is_better=False, needs_path=False)
    """

    function: Callable[[nn.Module, Batch], float]
    """Of an untrained network and a batch of images with labels; NaN where it is not defined."""
    _: KW_ONLY
    higher_is_better: bool = True
    """Whether a higher value of `function` stands for a better cell; if not, its sign is changed."""
    needs_path: bool = True
    """Whether it is undefined for cells without a path from input to output; it is not called for them then."""
    not_finite: str = "the network's activations or gradients overflow"
    """Why `function` may give NaN or infinity."""

    def __call__(self, network: nn.Module, batch: Batch) -> float:
        """The score: higher is better."""
        value = float(self.function(network, batch))
        return value if self.higher_is_better else -value


def proxy_named(name: str) -> Proxy:
    """The proxy of that name.

    Raises UnknownName, NameClash, PluginFailed, InvalidProxy.

    >>> proxy_named("params").needs_path
    False
    """
    found: object = load("nasgauge.proxies", name)
    if not isinstance(found, Proxy):
        raise InvalidProxy(
            f"proxy {name} is a {type(found).__name__}; its entry point must point at a "
            "nasgauge.harness.proxies.Proxy"
        )
    return found


def proxies(names: Iterable[str] = ()) -> Mapping[str, Proxy]:
    """The proxies of these names; without names, all that are declared.

    Of all that are declared, those that cannot be loaded are left out with a `BrokenProxy` warning.

    Raises UnknownName, NameClash, PluginFailed, InvalidProxy for names that are given.

    >>> list(proxies(["synflow", "kappa"]))
    ['synflow', 'kappa']
    """
    found = {name: proxy_named(name) for name in names}
    if found:
        return found
    for name in declared("nasgauge.proxies"):
        try:
            found[name] = proxy_named(name)
        except (NameClash, PluginFailed, InvalidProxy) as error:
            warnings.warn(f"{error}; it is left out", BrokenProxy, stacklevel=2)
    return found


def _flops(network: nn.Module, batch: Batch) -> float:
    """Multiply-accumulates for one image."""
    return float(size.flops(network, tuple(batch.images.shape[1:])))  # type: ignore[arg-type] # three sides


def _parameters(network: nn.Module, batch: Batch) -> float:  # noqa: ARG001 - all proxies are called alike
    """Trainable weights."""
    return float(size.parameters(network))


def _kappa(network: nn.Module, batch: Batch) -> float:
    """Condition number of the neural tangent kernel in train mode (Chen et al., 2021: TE-NAS, section 3.1.1)."""
    return tenas.kappa(network, batch.images)


def _regions(network: nn.Module, batch: Batch) -> float:
    """Number of linear regions: distinct ReLU activation patterns of images (Chen et al., 2021: TE-NAS, section 3.1.2)."""
    return tenas.regions(network, batch.images)


_ZERO_GRADIENT: Final = "the gradient of an image is zero, or overflows"

EPE_NAS: Final = Proxy(activations.epe_nas, not_finite=_ZERO_GRADIENT)
FISHER: Final = Proxy(gradients.fisher)
FLOPS: Final = Proxy(_flops, needs_path=False)
GRAD_NORM: Final = Proxy(gradients.grad_norm)
GRASP: Final = Proxy(gradients.grasp)
JACOV: Final = Proxy(activations.jacov, not_finite=_ZERO_GRADIENT)
KAPPA: Final = Proxy(
    _kappa,
    higher_is_better=False,
    not_finite="the smallest eigenvalue of the kernel is zero or, by rounding, negative, or the kernel overflows",
)
L2_NORM: Final = Proxy(gradients.l2_norm, needs_path=False)
NASWOT: Final = Proxy(activations.naswot, not_finite="two images have the same ReLU code")
PARAMS: Final = Proxy(_parameters, needs_path=False)
PLAIN: Final = Proxy(gradients.plain)
REGIONS: Final = Proxy(_regions)
SNIP: Final = Proxy(gradients.snip)
SYNFLOW: Final = Proxy(gradients.synflow)
ZEN: Final = Proxy(activations.zen, not_finite="the perturbation does not reach the last feature map")
ZEN_RUNNING: Final = Proxy(activations.zen_running, not_finite=ZEN.not_finite)
ZICO: Final = Proxy(gradients.zico)
