"""Sections of other studies: scores against accuracies, surrogates by size, TE-NAS's pruning, retrained cells."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nasgauge.analysis.plots.cells import Choices, draw_preferences, draw_shrinking, operation_handles, shares
from nasgauge.analysis.plots.figures import Inks
from nasgauge.analysis.plots.layout import labelled, legend_below, pictures_of, title
from nasgauge.analysis.plots.ranks import draw_heat, draw_ranks, draw_sizes, draw_taus
from nasgauge.analysis.plots.style import OPERATION_COLOURS, OPERATION_NAMES, looks
from nasgauge.analysis.report.page import Chart, Picture, Section
from nasgauge.analysis.report.retraining import bridge_section
from nasgauge.analysis.results.campaign import Campaign
from nasgauge.analysis.results.names import dataset_name, shortened, slug
from nasgauge.analysis.results.pareto import Known
from nasgauge.analysis.results.published import TENAS_CORRELATIONS
from nasgauge.analysis.results.retraining import Bridge
from nasgauge.analysis.results.tables import Table
from nasgauge.analysis.statistics.ranks import Study, between, by_percentile, ceiling, rank_table, sizes
from nasgauge.spaces.cells import OPERATIONS, Cell

Array = NDArray[np.float64]

_DRAWN: Final = 6
"""Scores with a scatter plot on each dataset."""
_ALWAYS: Final = ("rank sum", "kappa", "regions", "flops", "params")
_BINS: Final = 60
_SCALES: Final = {
    "light": [[0, "#ffffff"], [0.02, "#d6e4f0"], [0.4, "#4a90c2"], [1, "#08306b"]],
    "dark": [[0, "#15181c"], [0.02, "#1d3446"], [0.4, "#3f86b8"], [1, "#d9f0ff"]],
}


class Pruning(NamedTuple):
    """The rounds of one TE-NAS search."""

    name: str
    rounds: Sequence[Choices]
    """Operations kept on each edge, from the full supernet to the cell."""
    kappa: Sequence[float]
    """Condition number of the supernet before each round."""
    regions: Sequence[float]


def ranks_section(
    studies: Sequence[Study], inks: Inks, rng: np.random.Generator, files: list[Path]
) -> Section:
    """Every score against the reported accuracy of every cell that has one."""
    table = rank_table(studies, rng)
    charts: list[Chart] = []
    notes = []
    for study in studies:
        part = table[table["dataset"] == study.dataset]
        noise = ceiling(study.seeds, study.truth)
        if not np.isfinite(noise):
            notes.append(
                f"{dataset_name(study.dataset)}: the table has one training per cell, so the noise ceiling is unknown."
            )
        charts += _taus(study, part, noise, inks, files)
        charts += [_density(study, name, row, noise, inks, files) for name, row in _chosen(part)]
    wide = table.pivot_table(index="score", columns="dataset", values="tau", sort=False)
    if len(studies) > 1:
        charts.append(_heat("tau-by-dataset", "Tau by dataset", wide, inks, files))
    if len(studies[0].scores) > 1:
        order = table[table["dataset"] == studies[0].dataset]["score"]
        agree = between({name: studies[0].scores[name] for name in order})
        charts.append(_heat("tau-between", "Tau between two scores", agree, inks, files))
    for study in studies:
        charts += _preference(study, inks, files)
    made = Table(
        "ranks",
        "Scores against reported accuracy",
        table,
        dict.fromkeys([name for name in table.columns if "tau" in name], 3)
        | {"low": 3, "high": 3, "Spearman": 3},
        "tau: Kendall's tau-b with its 95 % BCa bootstrap interval over cells, or over their structural classes where several "
        "cells are of one, for the scores at hand: random draws that scores depend on are not drawn again. Scores are "
        "oriented so that higher is better, so a negative tau means a reversed ranking. tau, top k %: among the k % of cells "
        "with the highest accuracy. undefined: cells without this score, which are left out.",
    )
    return Section(
        "ranks", "Scores and predictors",
        "Agreement of scores with the reported accuracy. The noise ceiling is the agreement of the search metric of a "
        "single training, mean over seeds: a score that reaches it ranks cells as well as training each of them once.",
        charts=charts, tables=[made], notes=notes,
    )  # fmt: skip


def _chosen(part: pd.DataFrame) -> list[tuple[str, Mapping[str, Any]]]:
    """The scores to draw: the best ones, the baselines and those of TE-NAS."""
    rows = [row for row in part.to_dict("records") if np.isfinite(row["tau"])]
    always = [row for row in rows if row["score"] in _ALWAYS]
    best = [row for row in rows if row not in always][: max(_DRAWN - len(always), 0)]
    return [(str(row["score"]), {str(key): value for key, value in row.items()}) for row in (*best, *always)]


def _taus(study: Study, part: pd.DataFrame, noise: float, inks: Inks, files: list[Path]) -> list[Chart]:
    rows = [
        (str(name), float(tau), float(low), float(high))
        for name, tau, low, high in part[["score", "tau", "low", "high"]].to_numpy().tolist()
        if np.isfinite(tau)
    ]
    if not rows:
        return []
    published = {name: abs(tau) for name, tau in TENAS_CORRELATIONS.items()}

    def draw(figure: Figure) -> None:
        ax = figure.add_subplot()
        draw_taus(ax, rows, ceiling=noise, published=published, legend=False)
        ax.set(xlabel="Kendall's tau with reported accuracy")
        of = f"{dataset_name(study.dataset)}: agreement of scores with accuracy"
        title(figure, f"{of}; 95 % interval over classes of cells, for these draws")
        if labelled(ax):
            legend_below(figure, labelled(ax))

    saved = inks.save(f"tau-{study.dataset}", draw, part, aspect=(1.0, 0.35 + 0.06 * len(rows)))
    files += saved
    known = [(name, f"{tau:.2f}") for name, tau in published.items() if name in part["score"].tolist()]
    beside = f" Published for TE-NAS: {', '.join(' '.join(pair) for pair in known)}." if known else ""
    return [
        Chart(
            f"tau-{slug(study.dataset)}", "intervals", f"{dataset_name(study.dataset)}: tau of every score",
            f"Kendall's tau-b with {study.reported or 'reported accuracy'}, 95 % BCa interval over structural classes of "
            f"cells, for the random draws at hand.{beside}",
            {"rows": rows, "axis": "Kendall's tau", "line": noise, "line_name": "one training"},
            inks.links(saved), inks.provenance,
        )
    ]  # fmt: skip


def _density(
    study: Study, name: str, row: Mapping[str, Any], noise: float, inks: Inks, files: list[Path]
) -> Chart:
    score = by_percentile(study.scores[name])
    known = ~np.isnan(score)
    limit = f"; noise ceiling {noise:.2f}" if np.isfinite(noise) else ""
    told = f"tau {row['tau']:.3f} ({row['low']:.3f} to {row['high']:.3f}), {row['ties, %']:.1f} % of pairs tied{limit}"

    def draw(figure: Figure) -> None:
        ax = figure.add_subplot()
        draw_ranks(ax, score, study.truth)
        ax.set(xlabel=f"percentile of {shortened(name)}", ylabel="test accuracy, %")
        title(figure, f"{dataset_name(study.dataset)}, {known.sum():,} cells: {told}")

    saved = inks.save(
        f"ranks-{study.dataset}-{slug(name)}",
        draw,
        pd.DataFrame({"score": study.scores[name], "percentile": score, "accuracy": study.truth}),
    )
    files += saved
    y = np.clip(study.truth[known], float(np.quantile(study.truth[known], 0.02)), None)
    counts, x_edges, y_edges = np.histogram2d(score[known], y, bins=_BINS)
    return Chart(
        f"ranks-{slug(study.dataset)}-{slug(name)}", "density", f"{dataset_name(study.dataset)}: {name}",
        f"{known.sum():,} cells: {told}. The lowest 2 % of accuracies are clipped to the lower edge.",
        {
            "x": (x_edges[1:] + x_edges[:-1]) / 2, "y": (y_edges[1:] + y_edges[:-1]) / 2,
            "cells": counts.T.astype(int), "scale": _SCALES,
            "axis": f"percentile of {name}",
        },
        inks.links(saved), inks.provenance,
    )  # fmt: skip


def _preference(study: Study, inks: Inks, files: list[Path]) -> list[Chart]:
    """Operations of the best tenth of cells, by accuracy and by each score of TE-NAS."""
    if not study.cells:
        return []
    orders = {"accuracy": study.truth} | {
        name: study.scores[name] for name in _ALWAYS if name in study.scores
    }
    share = np.array([shares(_best(study, score)).mean(axis=0) for score in orders.values()])

    of = f"{dataset_name(study.dataset)}: operations of the best 10 % of cells"

    def draw(figure: Figure) -> None:
        draw_preferences(figure, share, list(orders), of=of)

    numbers = pd.DataFrame(share, columns=list(OPERATIONS))
    numbers.insert(0, "best by", list(orders))
    name = f"preference-{slug(study.dataset)}"
    saved = inks.save(name, draw, numbers, aspect=(1.0, 0.75))
    files += saved
    parts = [
        {"name": OPERATION_NAMES[operation], "colour": OPERATION_COLOURS[operation], "share": share[:, place]}
        for place, operation in enumerate(OPERATIONS)
    ]
    return [
        Chart(
            name, "bars", f"{dataset_name(study.dataset)}: operations of the best tenth",
            "Share of each operation on the edges of the best 10 % of cells, by accuracy and by scores (Chen et "
            "al., 2021, Figure 4).",
            {"edges": list(orders), "parts": parts}, inks.links(saved), inks.provenance,
        )
    ]  # fmt: skip


def _best(study: Study, score: Array) -> list[Cell]:
    order = np.argsort(-np.nan_to_num(score, nan=-np.inf), kind="stable")
    return [Cell.parse(study.cells[place]) for place in order[: max(len(order) // 10, 1)].tolist()]


def _heat(name: str, heading: str, values: pd.DataFrame, inks: Inks, files: list[Path]) -> Chart:
    shape = (1.0, 0.3 + 0.07 * len(values))

    def draw(figure: Figure) -> None:
        ax = figure.add_subplot()
        draw_heat(ax, values)
        title(figure, heading)

    saved = inks.save(name, draw, values.reset_index(), aspect=shape)
    files += saved
    return Chart(
        name, "heat", heading, "Kendall's tau-b on the cells that have both.",
        {"x": list(map(str, values.columns)), "y": list(map(str, values.index)), "z": values.to_numpy()},
        inks.links(saved), inks.provenance,
    )  # fmt: skip


def sizes_section(trials: pd.DataFrame, inks: Inks, files: list[Path]) -> Section:
    """A predictor study: tau of surrogates against the number of cells that they were fitted on, a panel for each size."""
    pictures = []
    shown = looks(trials["surrogate"].astype(str))
    for dataset, tested, frame in sizes(trials):
        heading = f"{dataset_name(dataset)}: surrogates, tested on {tested} cells"

        def draw(figure: Figure, frame: pd.DataFrame = frame, heading: str = heading) -> None:
            parts = list(frame.groupby("size"))
            axes = figure.subplots(1, len(parts), sharey=True, squeeze=False)[0]
            for ax, (size, part) in zip(axes, parts, strict=True):
                draw_sizes(ax, part, shown, legend=False)
                ax.set(xlabel="cells fitted on", title=f"size {size}")
            axes[0].set_ylabel("Kendall's tau")
            title(figure, heading)
            named = {line.get_label(): line for ax in axes for line in labelled(ax)}
            legend_below(figure, list(named.values()))

        saved = inks.save(f"surrogates-{dataset}-{tested}", draw, frame)
        files += saved
        caption = "Size: of the cells fitted on. Mean over repeats; bars: 5 % to 95 % quantile of repeats."
        pictures.append(Picture(heading, caption, inks.svg(draw), inks.links(saved)))
    return Section("surrogates", "Surrogates", pictures=pictures)


def pruning_section(searches: Sequence[Pruning], inks: Inks, files: list[Path]) -> Section:
    """TE-NAS searches: the operations pruned in each round, and kappa and regions before it."""
    pictures = []
    for search in searches:
        titles = ["supernet", *(f"after round {place}" for place in range(1, len(search.rounds)))]
        titles = [
            f"{title}\nκ {kappa:.3g}, regions {regions:.4g}" if place < len(search.kappa) else title
            for place, (title, kappa, regions) in enumerate(
                zip(titles, [*search.kappa, np.nan], [*search.regions, np.nan], strict=False)
            )
        ]

        def draw(figure: Figure, search: Pruning = search, titles: Sequence[str] = titles) -> None:
            draw_shrinking(pictures_of(figure, len(search.rounds)), search.rounds, titles)
            figure.legend(handles=operation_handles(), ncols=4, loc="outside lower center")

        numbers = pd.DataFrame(
            [
                {"round": place, "edge": edge, "kept": " ".join(kept)}
                for place, choices in enumerate(search.rounds)
                for edge, kept in enumerate(choices)
            ]
        )
        saved = inks.save(f"pruning-{slug(search.name)}", draw, numbers)
        files += saved
        pictures.append(
            Picture(
                search.name,
                "Operations kept on each edge after each round; dotted: pruned in this round. κ: condition number of "
                "the neural tangent kernel before the round; regions: number of linear regions.",
                inks.svg(draw),
                inks.links(saved),
            )
        )
    return Section("pruning", "TE-NAS, round by round", pictures=pictures)


@dataclass(frozen=True)
class Extras:
    """Other studies for a campaign's page."""

    ranks: Sequence[Study] = ()
    trials: pd.DataFrame | None = None
    """Rows of a predictor study; see `nasgauge.analysis.statistics.ranks.sizes`."""
    prunings: Sequence[Pruning] = ()
    bridge: Bridge | None = None
    """Retrained cells."""
    pareto: Callable[[Campaign], Sequence[Known]] = lambda _campaign: ()
    """What is known of objectives beside accuracy; see `nasgauge.analysis.report.pareto`."""


def extra_sections(extras: Extras, inks: Inks, rng: np.random.Generator, files: list[Path]) -> list[Section]:
    """The sections of the studies given."""
    sections = []
    if extras.ranks:
        sections.append(ranks_section(extras.ranks, inks, rng, files))
    if extras.trials is not None:
        sections.append(sizes_section(extras.trials, inks, files))
    if extras.prunings:
        sections.append(pruning_section(extras.prunings, inks, files))
    if extras.bridge is not None:
        sections.append(bridge_section(extras.bridge, inks, rng, files))
    return sections
