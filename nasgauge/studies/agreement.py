"""How well scores of untrained networks rank cells by test accuracy: scores, costs and a table for the statistics."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nasgauge.analysis.statistics.agreement import Draws, Over, Row, agreement
from nasgauge.analysis.statistics.redraws import Redraw, redraws
from nasgauge.data.ceilings import single_trainings
from nasgauge.data.tables import AccuracyTable
from nasgauge.harness.proxies.score_files import Score, UnfitScores
from nasgauge.harness.proxies.scores import members
from nasgauge.spaces.cells import N_CELLS
from nasgauge.spaces.costs import multiply_adds, of_every_cell, parameters

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

RANK_SUM: Final = "kappa + regions"
"""TE-NAS's sum of the ranks by its two proxies."""
ONE_TRAINING: Final = "one training"
"""Validation accuracy of a single training: the noise ceiling, for no proxy knows more than a training."""


def study(
    scores: Sequence[Score],
    table: AccuracyTable,
    rng: np.random.Generator,
    *,
    over: Over = "classes",
    count: int = 200,
) -> Iterator[Row]:
    """Every proxy of the scores, FLOPs, parameters, TE-NAS's rank sum, and one training, on every dataset of the table.

    Cells of a structural class share its score, except by a proxy that every cell was scored with. Each proxy is
    measured on the cells that it was scored on; FLOPs, parameters and a training on all. Cells without accuracy are left
    out. See `agreement` for the rest.

    Raises UnfitScores if there are no scores, NotInTable.
    """
    accuracies = {dataset: table.column(view.report) for dataset, view in table.views.items()}
    trained: Mask = np.all(np.isfinite(np.stack(list(accuracies.values()))), axis=0)
    costs, numbers = of_every_cell(multiply_adds, "cifar10"), _first_cells()

    def measured(proxies: Sequence[Draws], scored: Mask, datasets: Sequence[str]) -> Iterator[Row]:
        rows = np.flatnonzero(scored & trained)
        known = {dataset: accuracies[dataset][rows] for dataset in datasets}
        chosen = [proxy.at(rows) for proxy in proxies]
        yield from agreement(chosen, known, costs[rows], numbers[rows], rng, over=over, count=count)

    for scored, proxies in draws_of(scores):
        yield from measured(proxies, scored, list(accuracies))
    for dataset in accuracies:
        runs = single_trainings(table, dataset)
        complete = runs[~np.isnan(runs).any(axis=1)]
        if len(complete):
            yield from measured([Draws(ONE_TRAINING, complete[:, None])], trained, [dataset])


def redrawn(scores: Sequence[Score], rng: np.random.Generator, *, count: int = 200) -> Iterator[Redraw]:
    """Tau of every proxy, and of TE-NAS's rank sum, with itself in another draw, over structural classes.

    Raises UnfitScores if there are no scores.
    """
    firsts = np.unique(_first_cells())
    for scored, proxies in draws_of(scores):
        for proxy in proxies:
            yield from redraws(proxy.at(firsts[scored[firsts]]), rng, count=count)


def seconds(scores: Sequence[Score]) -> dict[str, float]:
    """Mean CPU seconds of one draw for one cell that the proxy is defined for, by proxy."""
    spent: dict[str, list[float]] = {}
    for score in scores:
        if score.seconds:
            spent.setdefault(score.proxy, []).append(score.seconds)
    means = {name: float(np.mean(values)) for name, values in spent.items()}
    if {"kappa", "regions"} <= means.keys():
        means[RANK_SUM] = means["kappa"] + means["regions"]
    return means


def draws_of(scores: Sequence[Score]) -> list[tuple[Mask, list[Draws]]]:
    """Groups of proxies that were scored on the same cells, the largest first: all cells, with FLOPs and parameters.

    Each with which cells these are, (15625,), and the scores, (…, 15625), by `Cell.rank`.

    Raises UnfitScores if there are no scores.
    """
    by_proxy: dict[str, dict[tuple[int, int], Array]] = {}
    for score in scores:
        draws = by_proxy.setdefault(score.proxy, {})
        draw = score.weights, score.batch
        if draw not in draws:
            draws[draw] = np.full((2, N_CELLS), np.nan)  # the value, and 1 where there is one
        draws[draw][:, score.rank] = score.value, 1.0
    for size in ("flops", "params"):
        by_proxy.pop(size, None)
    if not by_proxy:
        raise UnfitScores("the file has no scores of proxies; nasgauge score cells --all makes one")
    first = _first_cells()
    every = np.ones(N_CELLS, dtype=np.bool_)
    sizes = [
        Draws(name, of_every_cell(cost, "cifar10")[None, None])
        for name, cost in (("flops", multiply_adds), ("params", parameters))
    ]
    groups = {every.tobytes(): (every, sizes)}
    for name, draws in by_proxy.items():
        for draw, found in draws.items():
            draws[draw] = np.where(np.isnan(found[1]), found[:, first], found)
        scored = np.logical_or.reduce([found[1] == 1 for found in draws.values()])
        groups.setdefault(scored.tobytes(), (scored, []))[1].extend(_designs(name, draws, scored))
    for _, proxies in groups.values():
        parts = [[proxy for proxy in proxies if proxy.name == name] for name in ("kappa", "regions")]
        proxies += [Draws.rank_sum(RANK_SUM, *pair) for pair in zip(*parts, strict=False)]
    return sorted(groups.values(), key=lambda group: -group[0].sum())


def _designs(name: str, found: Mapping[tuple[int, int], Array], scored: Mask) -> Iterator[Draws]:
    """The independent draws that all cells have, and those of weights crossed with batches that some or all have."""
    values, known = ({draw: pair[part] for draw, pair in found.items()} for part in (0, 1))
    geometric = name == "kappa"
    size = max(
        n for n in range(1, len(found) + 1) if all((w, b) in found for w in range(n) for b in range(n))
    )
    grid = [[(w, b) for b in range(size)] for w in range(size)]
    crossed, there = (np.array([[part[draw] for draw in row] for row in grid]) for part in (values, known))
    mask = there == 1
    whole = bool(mask[:, :, scored].all())
    everywhere = [draw for draw in found if draw[0] == draw[1] and (known[draw][scored] == 1).all()]
    if len(everywhere) > 1 and (size == 1 or not whole):
        yield Draws(name, np.stack([values[draw] for draw in everywhere])[:, None], geometric=geometric)
        if size == 1:
            return
        mask &= mask.all(axis=(0, 1))  # all cells are shown above
    yield Draws(name, crossed, mask, geometric=geometric)


def _first_cells() -> NDArray[np.intp]:
    """The first cell of each cell's structural class, (15625,), both by `Cell.rank`."""
    first = np.empty(N_CELLS, dtype=np.intp)
    for rank, ranks in members().items():
        first[list(ranks)] = rank
    return first
