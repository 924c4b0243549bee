"""Compare a supernet with its pruned versions by kappa and linear regions, as TE-NAS does (Chen et al., 2021).

Supports NAS-Bench-201 and the DARTS search space.
"""

import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any, Final, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from nasgauge.data.images import ImageSet, augmented, crops
from nasgauge.harness.network import Choices, Network, Skeleton, initialise
from nasgauge.harness.network.darts import BlockNetwork
from nasgauge.harness.network.inputs import exact_float32
from nasgauge.harness.ntk import Workspace
from nasgauge.harness.proxies.batch import generator_of
from nasgauge.harness.proxies.tenas import kappa, regions
from nasgauge.searchers.pruning import Comparison, Settings
from nasgauge.searchers.threads import torch_threads

KAPPA: Final = Skeleton(channels=3, cells=1)
"""The network whose tangent kernel TE-NAS computes: three stages of one cell with 3, 6 and 12 channels."""
REGIONS: Final = Skeleton(channels=1, cells=1, stages=1, stem=False)
"""The network whose linear regions TE-NAS counts: one cell of one channel, without a stem."""

NOISE_CLASSES: Final = 10
"""Outputs of the classifier for inputs of noise, which have no classes."""


class Measured(NamedTuple):
    """The networks of a search space on which kappa and linear regions are measured.

    >>> network = NB201_NETWORKS.regions((("nor_conv_3x3", "skip_connect"),) * 6)
    >>> sum(parameter.numel() for parameter in network.parameters())
    88
    """

    kappa: Callable[[Choices, int], nn.Module]
    """Of choices and the number of classes of the images."""
    regions: Callable[[Choices], nn.Module]


NB201_NETWORKS: Final = Measured(
    lambda choices, classes: Network(choices, replace(KAPPA, classes=classes)),
    lambda choices: Network(choices, REGIONS),
)
DARTS_NETWORKS: Final = Measured(
    lambda choices, classes: BlockNetwork(choices, stem=True, classes=classes),
    lambda choices: BlockNetwork(choices, stem=False),
)

Known = dict[tuple[str, int, Choices, tuple[Choices, ...]], tuple[Any, float]]
"""What was measured, and its CPU seconds: by measure, round, supernet and candidates."""

R = TypeVar("R")
T = TypeVar("T")


class Judge:
    """Compares a supernet with its pruned versions by kappa and the number of linear regions.

    Images and weights depend only on the seed and on the round, the number of previous calls. All candidates of a
    round use the same images and weights, so the kernel of the supernet is computed once per repeat.

    With `settings.fresh_weights`, as in the paper, every repeat draws new weights. Without, as in the public code, all
    repeats share one draw for the kernel, and each candidate has its own draw for the regions. Without `images`,
    inputs are Gaussian noise. The result does not depend on the number of threads, `workers`.

    For the rules `kappa` and `regions`, the other of the two is measured on the supernet alone and is NaN for the
    candidates. Judges of one seed for several rules may share a dictionary, `known`, of what was measured: searches
    that meet the same supernet in the same round do not measure it again, and `clock` charges the seconds to each.

    `rounds` is the number of rounds so far; set it to go on with an interrupted search. `on_kernel` is called after each
    kernel with the number of kernels of the round that were computed, and of all that it needs.

    >>> from dataclasses import replace
    >>> from nasgauge.searchers.pruning import PRESETS
    >>> judge = Judge(replace(PRESETS["released-paper-settings"], batch=4, repeats=1, region_samples=50), seed=0)
    >>> supernet = (("skip_connect", "nor_conv_3x3"),) * 6
    >>> pruned = (("skip_connect",), *supernet[1:])
    >>> [comparison] = judge(supernet, [pruned])
    >>> len(comparison.kappa), len(comparison.regions)
    (1, 1)
    """

    def __init__(
        self,
        settings: Settings,
        seed: int,
        *,
        images: ImageSet | None = None,
        workers: int = 1,
        device: torch.device | str = "cpu",
        space: "Measured | None" = None,
        rule: str = "rank-sum",
        known: "Known | None" = None,
    ) -> None:
        self.settings = settings
        self.seed = seed
        self.rule = rule
        self.known: Known = {} if known is None else known
        self.images = images
        self.workers = workers
        self.device = exact_float32(torch.device(device))
        self.space = space or NB201_NETWORKS
        classes = NOISE_CLASSES if images is None else images.classes
        self._kappa_network = lambda choices: self.space.kappa(choices, classes)
        self.rounds = 0
        self.on_kernel: Callable[[int, int], None] = lambda _done, _of: None
        self._saved = 0.0
        self._thread = threading.local()

    def __call__(self, full: Choices, candidates: Sequence[Choices]) -> list[Comparison]:
        """Compare the supernet `full` with each candidate; one comparison per candidate, in order."""
        unknown = [(math.nan,) * self.settings.repeats] * len(candidates)
        if self.rule == "regions":
            (before,), after = self._once(self._kappas, full, ()), unknown
        else:
            before, *after = self._once(self._kappas, full, tuple(candidates))
        if self.rule == "kappa":
            ((full_count, _),) = self._once(self._regions, full, tuple(candidates[:1]))
            counts = [(full_count, each) for each in unknown]
        else:
            counts = self._once(self._regions, full, tuple(candidates))
        self.rounds += 1
        return [Comparison(before, own, *both) for own, both in zip(after, counts, strict=True)]

    def clock(self) -> float:
        """CPU seconds of this process (`time.process_time`) and those of the measurements taken from `known`."""
        return time.process_time() + self._saved

    def _once(
        self,
        measure: Callable[[Choices, tuple[Choices, ...]], R],
        full: Choices,
        candidates: tuple[Choices, ...],
    ) -> R:
        key = (measure.__name__, self.rounds, full, candidates)
        if key in self.known:
            self._saved += self.known[key][1]
        else:
            start = time.process_time()
            found = measure(full, candidates)
            self.known[key] = found, time.process_time() - start
        measured: R = self.known[key][0]
        return measured

    def _kappas(self, full: Choices, candidates: tuple[Choices, ...]) -> list[tuple[float, ...]]:
        """Those of the supernet and of each candidate, one per repeat."""
        repeats = []
        computed, needed = count(1), self.settings.repeats * (1 + len(candidates))

        def one(weights: nn.Module, images: Tensor, choices: Choices) -> float:
            found = self._kappa(weights, images, choices)
            self.on_kernel(next(computed), needed)
            return found

        for repeat in range(self.settings.repeats):
            draw = self._generator(0, repeat if self.settings.fresh_weights else 0)
            weights = self._draw(self._kappa_network, full, draw, self.settings.kappa_initialisation)
            images = self._batch(self._generator(1, repeat)).to(self.device)
            repeats.append(self._spread([full, *candidates], partial(one, weights, images)))
        return list(zip(*repeats, strict=True))

    def _kappa(self, weights: nn.Module, images: Tensor, choices: Choices) -> float:
        if not hasattr(self._thread, "workspace"):
            self._thread.workspace = Workspace()
        smaller = (
            weights.restricted(choices)  # the kernel runs no module, so threads may share them
            if isinstance(weights, Network)
            else _smaller(weights, self._kappa_network, choices)
        )
        return kappa(smaller, images, self._thread.workspace)

    def _regions(
        self, full: Choices, candidates: tuple[Choices, ...]
    ) -> list[tuple[tuple[float, ...], tuple[float, ...]]]:
        """For each candidate, the counts of the supernet and of the candidate, one per repeat."""
        how, times = self.settings.region_initialisation, range(self.settings.repeats)
        pieces = [self._pieces(self._generator(3, repeat)).to(self.device) for repeat in times]

        def counts(weights: Sequence[nn.Module], choices: Choices) -> tuple[float, ...]:
            smaller = (_smaller(network, self.space.regions, choices) for network in weights)
            return tuple(float(regions(*pair)) for pair in zip(smaller, pieces, strict=True))

        if self.settings.fresh_weights:
            drawn = [self._draw(self.space.regions, full, self._generator(2, r, 0), how) for r in times]
            before, *after = self._spread([full, *candidates], partial(counts, drawn))
            return [(before, each) for each in after]

        def alone(place: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
            drawn = [self._draw(self.space.regions, full, self._generator(2, 0, place + 1), how)] * len(times)
            return counts(drawn, full), counts(drawn, candidates[place])

        return self._spread(range(len(candidates)), alone)

    def _draw(
        self, make: Callable[[Choices], nn.Module], choices: Choices, generator: torch.Generator, how: str
    ) -> nn.Module:
        with torch.device("meta"):
            network = make(choices)
        network.to_empty(device=self.device)
        initialise(network, how, generator)
        return network.train()

    def _batch(self, generator: torch.Generator) -> Tensor:
        if self.images is None:
            return torch.randn((self.settings.batch, 3, 32, 32), generator=generator)
        return augmented(self.images, self.settings.batch, generator)[0]

    def _pieces(self, generator: torch.Generator) -> Tensor:
        if self.images is None:
            return torch.randn((self.settings.region_samples, 1, 3, 3), generator=generator)
        return crops(self.images, self.settings.region_samples, generator)

    def _generator(self, *role: int) -> torch.Generator:
        return generator_of(self.seed, self.rounds, *role)

    def _spread(self, items: Sequence[T], work: Callable[[T], R]) -> list[R]:
        with torch_threads(1), ThreadPoolExecutor(self.workers) as pool:
            return list(pool.map(work, items))


def _smaller(weights: nn.Module, make: Callable[[Choices], nn.Module], choices: Choices) -> nn.Module:
    """The subnetwork of `choices`, sharing the weights of the supernet."""
    with torch.device("meta"):
        network = make(choices)
    kept = weights.state_dict()
    network.load_state_dict({name: kept[name] for name in network.state_dict()}, assign=True)
    return network.train()
