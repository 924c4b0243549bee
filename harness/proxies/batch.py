"""The batch of images that a proxy is computed on, and the passes that several proxies share."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from nasgauge.harness.network.inputs import InvalidBatch, check_images

T = TypeVar("T")


def generator_of(seed: int, *role: int) -> torch.Generator:
    """The generator of a role under a seed, such as the weights of a repeat.

    >>> generator_of(0, 1).initial_seed() == generator_of(0, 2).initial_seed()
    False
    """
    entropy = np.random.SeedSequence([seed, *role]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(entropy[0] >> 1))


class Passes:
    """Forward and backward passes of one network on one batch, each computed at most once.

    The weights of the network must not change between the proxies that share the passes.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self._kept: dict[Any, tuple[Any, frozenset[Any]]] = {}
        self._seconds: dict[Any, float] = {}  # of each pass, without the passes that it reads
        self._read: set[Any] = set()
        self._elsewhere = 0.0  # seconds spent in passes since the clock was last started

    def once(self, compute: Callable[[], T], key: object) -> T:
        """The result of the pass `key`, from the first call of `compute`."""
        if key not in self._kept:
            outer, self._read = self._read, set()
            result, self._seconds[key] = self._timed(compute)
            self._kept[key] = result, frozenset(self._read | {key})
            self._read = outer
        kept, read = self._kept[key]
        self._read |= read
        found: T = kept
        return found

    def measure(self, compute: Callable[[], T]) -> tuple[T, float]:
        """The result of `compute` and its CPU seconds, as if every pass that it reads had been computed for it alone."""
        self._read = set()
        result, own = self._timed(compute)
        return result, own + sum(self._seconds[key] for key in self._read)

    def _timed(self, compute: Callable[[], T]) -> tuple[T, float]:
        outer, self._elsewhere, start = self._elsewhere, 0.0, time.process_time()
        result = compute()
        passed = time.process_time() - start
        own, self._elsewhere = passed - self._elsewhere, outer + passed
        return result, own


@dataclass(frozen=True, eq=False)
class Batch:
    """Labelled images, and the random generator for proxies that draw weights or noise.

    Raises InvalidBatch.

    >>> batch = Batch(torch.zeros(2, 3, 8, 8), torch.tensor([0, 1]), torch.Generator().manual_seed(0))
    >>> batch.labels.tolist()
    [0, 1]
    """

    images: Tensor
    """(B, C, H, W), normalised floats, B ≥ 2."""
    labels: Tensor
    """(B,), classes counted from 0."""
    generator: torch.Generator
    passes: Passes | None = None
    """Where proxies keep the passes that they share; without it, every proxy computes its own."""

    def __post_init__(self) -> None:
        check_images(self.images)
        if self.labels.shape != self.images.shape[:1]:
            raise InvalidBatch(
                f"{len(self.images)} images need {len(self.images)} labels, not {tuple(self.labels.shape)}"
            )

    def once(self, make: "Callable[[nn.Module, Batch], T]", network: nn.Module) -> T:
        """The result of `make(network, batch)`, computed once if the batch keeps the passes of this network.

        >>> layer = nn.Flatten()
        >>> images, labels = torch.zeros(2, 1, 1, 1), torch.zeros(2)
        >>> batch = Batch(images, labels, torch.Generator(), Passes(layer))
        >>> flat = lambda network, batch: network(batch.images)
        >>> batch.once(flat, layer) is batch.once(flat, layer)
        True
        """
        if self.passes is None or self.passes.network is not network:
            return make(network, self)
        return self.passes.once(lambda: make(network, self), make)
