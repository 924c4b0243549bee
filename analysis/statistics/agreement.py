"""How well zero-cost proxies rank cells, what they add to FLOPs, and how much of it one random draw decides."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasgauge.analysis.statistics.correlation import (
    dense_ranks,
    kendall,
    kendall_among_best,
    kendall_within,
    partial_of,
    precision,
    spearman,
)
from nasgauge.analysis.statistics.crossed import Estimates, crossed_interval, resamples
from nasgauge.spaces.ranks import last, rank_sum

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

Mask = NDArray[np.bool_]

Over = Literal["classes", "cells"]

MEASURES: Final = (
    "tau",
    "spearman",
    "partial_tau",
    "tau_within_flops",
    "tau_best_10",
    "tau_best_1",
    "precision_10",
    "precision_1",
)
"""What is measured: Kendall's tau-b; Spearman's rho; partial tau given FLOPs; tau over pairs of cells with equal FLOPs;
tau among the best 10 % and 1 % of the cells by accuracy; the share of the highest 10 % and 1 % by score that are among
the best 10 % and 1 % by accuracy."""
FEW: Final = 20
"""Cells below which tau among the best and precision are not measured."""


@dataclass(frozen=True)
class Draws:
    """Scores of cells by one proxy, with several random draws of weights and batches of images.

    >>> Draws("flops", np.array([[[1.0, 2.0, 3.0]]])).everywhere
    array([[ True]])
    """

    name: str
    values: Array
    """(draws of weights, batches, cells); higher is better. NaN: undefined, or not scored; see `known`."""
    known: NDArray[np.bool_] | None = None
    """Where a cell was scored, of the shape of `values`; None: everywhere."""
    geometric: bool = False
    """Whether the mean over draws is geometric, as for kappa: its scores are negated condition numbers."""
    parts: "tuple[Draws, ...]" = ()
    """The proxies whose ranks this one is the sum of."""

    @classmethod
    def rank_sum(cls, name: str, *parts: "Draws") -> "Draws":
        """The sum of the ranks by each of the parts, which have draws of the same shape (Chen et al., 2021)."""
        single = [part.single() for part in parts]
        draws = np.ndindex(single[0].shape[:2])
        values = np.array([rank_sum(*(one[draw] for one in single)) for draw in draws])
        known = np.logical_and.reduce([part.scored for part in parts])
        return cls(name, values.reshape(single[0].shape), known, parts=parts)

    def at(self, rows: Rows) -> "Draws":
        """The scores of these cells; ranks are among them alone."""
        if self.parts:
            return Draws.rank_sum(self.name, *(part.at(rows) for part in self.parts))
        known = None if self.known is None else self.known[..., rows]
        return replace(self, values=self.values[..., rows], known=known)

    @property
    def scored(self) -> Mask:
        """Where a cell was scored, of the shape of `values`."""
        return np.ones(self.values.shape, dtype=np.bool_) if self.known is None else self.known

    @property
    def everywhere(self) -> Mask:
        """The draws that all cells were scored with, (draws of weights, batches)."""
        return np.asarray(self.scored.all(axis=2))

    @property
    def repeated(self) -> Mask:
        """The cells that were scored with all draws, (cells,)."""
        return np.asarray(self.scored.all(axis=(0, 1)))

    def single(self) -> Array:
        """Scores with each draw, (draws of weights, batches, cells), for ranking: see `last`."""
        return last(self.values)

    def averaged(self, draws: Mask) -> Array:
        """Mean over the given draws, (cells,), for ranking: undefined where any of them is."""
        if self.parts:
            return rank_sum(*(part.averaged(draws) for part in self.parts))
        kept = self.values[draws]
        mean = -np.exp(np.log(-kept).mean(axis=0)) if self.geometric else kept.mean(axis=0)
        return last(mean)


class Row(NamedTuple):
    """One figure of one proxy on one dataset with its 95 % interval."""

    over: Over
    dataset: str
    proxy: str
    draws: int
    """1: the mean over draws of the figure of a single draw; more: the figure of the mean score of so many draws."""
    measure: str
    value: float
    low: float
    high: float
    cells_sd: float
    draws_sd: float
    cells: int
    classes: int
    undefined: int
    """Cells with a score that is NaN, which is ranked last, or infinite, with one of the draws."""


@dataclass(frozen=True)
class Sample:
    """Accuracies and FLOPs of some cells, by which scores of the same cells are measured."""

    accuracies: NDArray[np.integer]
    """Dense ranks, (datasets, cells): all that is measured depends on ranks alone."""
    flops: NDArray[np.integer]
    """Dense ranks, (cells,)."""
    size: int
    """Number of cells by which it is decided whether figures among the best are measured; see `FEW`."""

    def at(self, rows: Rows, size: int) -> "Sample":
        """The sample at these rows, which may repeat."""
        return Sample(self.accuracies[:, rows], self.flops[rows], size)

    @cached_property
    def _with_flops(self) -> list[float]:
        return [kendall(self.flops, truth) for truth in self.accuracies]

    def measure(self, score: Array) -> Array:
        """Each of `MEASURES` on each dataset, (datasets, measures), of a score of each cell, (cells,)."""
        ranks = dense_ranks(score)
        with_flops = kendall(ranks, self.flops)
        found = []
        for truth, own in zip(self.accuracies, self._with_flops, strict=True):
            tau = kendall(ranks, truth)
            row = [
                tau,
                spearman(ranks, truth),
                partial_of(tau, with_flops, own),
                kendall_within(ranks, truth, self.flops),
            ]
            shares = (0.1, 0.01)
            enough = [self.size * share >= FEW for share in shares]
            pairs = list(zip(shares, enough, strict=True))
            row += [kendall_among_best(ranks, truth, s) if ok else np.nan for s, ok in pairs]
            row += [precision(ranks, truth, round(len(ranks) * s)) if ok else np.nan for s, ok in pairs]
            found.append(row)
        return np.array(found)


def agreement(
    proxies: Sequence[Draws],
    accuracies: Mapping[str, Array],
    flops: Array,
    classes: NDArray[np.integer],
    rng: np.random.Generator,
    *,
    over: Over = "classes",
    count: int = 200,
) -> Iterator[Row]:
    """How well each proxy ranks cells on each dataset, proxy by proxy.

    `accuracies`, percent, `flops` and the scores hold one figure for each cell, (cells,); `classes` the number of the
    structural class of each cell. Over classes, a class counts once, by its first cell; over cells, every cell counts
    with its own accuracy and FLOPs. Intervals are a crossed bootstrap with `count` resamples of classes, so that cells of
    one class stay together, and of the draws; their ends are cut where no figure can be.

    A proxy that was scored with more draws on some of the cells has further rows for these cells, which show a
    single draw and the mean of several on the same cells.
    """
    rows = np.unique(classes, return_index=True)[1] if over == "classes" else np.arange(len(classes))
    number = np.unique(classes[rows], return_inverse=True)[1]
    truths = np.stack([dense_ranks(figures[rows]) for figures in accuracies.values()])
    sample = Sample(truths, dense_ranks(flops[rows]), len(rows))
    bootstrap = _Bootstrap(sample, list(resamples(number, rng, count)))
    for proxy in proxies:
        scores = proxy.at(rows)
        for found in _estimates(scores, bootstrap, rng):
            undefined = ~np.isfinite(scores.values[found.draws][:, found.cells]).all(axis=0)
            counts = int(found.cells.sum()), len(np.unique(number[found.cells])), int(undefined.sum())
            for (d, dataset), (m, measure) in product(enumerate(accuracies), enumerate(MEASURES)):
                value, low, high, cells_sd, draws_sd = (
                    float(part[d, m]) for part in (found.value, *found.interval)
                )
                least = 0.0 if measure.startswith("precision") else -1.0
                yield Row(
                    over,
                    dataset,
                    proxy.name,
                    found.averaged,
                    measure,
                    value,
                    float(np.clip(low, least, 1)),
                    float(np.clip(high, least, 1)),
                    cells_sd,
                    draws_sd,
                    *counts,
                )


class _Estimate(NamedTuple):
    cells: Mask
    draws: Mask
    averaged: int
    value: Array
    interval: Estimates


@dataclass(frozen=True)
class _Bootstrap:
    """Resamples of a sample's cells, and of some of its cells."""

    sample: Sample
    drawn: Sequence[Rows]
    _kept: dict[bytes, list[tuple[Rows, Sample]]] = field(default_factory=dict)

    def measure(self, scores: Sequence[Array], cells: Mask) -> tuple[Array, Array]:
        """Figures of each score on some cells, (scores, datasets, measures), and in the resamples, (B, …)."""
        key = cells.tobytes()
        if key not in self._kept:  # the same for all proxies
            parts = [rows[cells[rows]] for rows in (np.arange(len(cells)), *self.drawn)]
            self._kept[key] = [(rows, self.sample.at(rows, int(cells.sum()))) for rows in parts]
        found = [np.stack([part.measure(score[rows]) for score in scores]) for rows, part in self._kept[key]]
        return found[0], np.stack(found[1:])


def _estimates(scores: Draws, bootstrap: _Bootstrap, rng: np.random.Generator) -> Iterator[_Estimate]:
    """A single draw and the mean of several, on all cells, and on those that were scored with more draws."""
    single, every, repeated = scores.single(), np.ones_like(scores.everywhere), scores.repeated

    def measure(draws: Mask, cells: Mask) -> tuple[Array, Array]:
        mean = [scores.averaged(draws)] if draws.sum() > 1 else []
        return bootstrap.measure([*single[draws], *mean], cells)

    value, again = measure(every, repeated)
    shape, size = every.shape, every.size
    each = value[:size].reshape(*shape, *value.shape[1:])
    each_again = again[:, :size].reshape(len(again), *shape, *value.shape[1:])
    blocks = [(every, repeated, value, again)]
    if not repeated.all() and scores.everywhere.any():
        blocks.insert(
            0, (scores.everywhere, whole := np.ones_like(repeated), *measure(scores.everywhere, whole))
        )
    for draws, cells, figures, resampled in blocks:
        levels = int(draws.any(axis=1).sum()), int(draws.any(axis=0).sum())
        n = int(draws.sum())
        for averaged, v, r in (
            ((1, 1), figures[:n].mean(axis=0), resampled[:, :n].mean(axis=1)),
            (levels, figures[-1], resampled[:, -1]),
        )[: 1 + (n > 1)]:
            interval = crossed_interval(r, each, each_again, rng, averaged=averaged)
            yield _Estimate(cells, draws, averaged[0] * averaged[1], v, interval)
