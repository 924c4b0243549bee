"""From a results folder to figures, the numbers behind them, tables, and the report page."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from nasgauge.analysis.plots.figures import Drawing, Inks, render
from nasgauge.analysis.plots.style import OWN, style
from nasgauge.analysis.report.glossary import GLOSSARY
from nasgauge.analysis.report.incumbents import cells_section, named_cells
from nasgauge.analysis.report.page import Card, Page
from nasgauge.analysis.report.page import render as render_page
from nasgauge.analysis.report.pareto import pareto_sections
from nasgauge.analysis.report.sections import (
    curves_section,
    papers_section,
    runs_section,
    statistics_sections,
)
from nasgauge.analysis.report.studies import Extras, extra_sections
from nasgauge.analysis.results.campaign import Campaign, load
from nasgauge.analysis.results.efficiency_curves import known_clocks
from nasgauge.analysis.results.files import forget, own_folder, save_text
from nasgauge.analysis.results.names import dataset_name, printable
from nasgauge.analysis.results.paper import matrix, pairs_of, paper_table, ranking_table
from nasgauge.analysis.results.random_equivalents import reach_table
from nasgauge.analysis.results.recommendations import finals, recommendation_table, recommendations
from nasgauge.analysis.results.summary import (
    aggregate_table,
    comparison_table,
    described,
    final_table,
    scores,
    tables,
)
from nasgauge.analysis.results.tables import Table, cell_text, decimals
from nasgauge.analysis.results.verdicts import verdicts
from nasgauge.analysis.statistics.curves import Clock, UnknownCost
from nasgauge.analysis.statistics.recommendations import Rule
from nasgauge.harness.engines import Local, Lost

FOLDER: Final = "report"
PAGE: Final = "report.html"

_REPEATS: Final = {"charge": "a repeated query is charged like any other", "free": "a repeated query is free"}


@dataclass(frozen=True)
class Report:
    """The files and tables of a report."""

    page: Path
    files: tuple[Path, ...]
    final: Table
    """A row for each dataset and searcher; see `nasgauge.analysis.results.summary.final_table`."""
    recommend: Rule
    """The rule behind `final`."""
    verdicts: tuple[str, ...]
    notes: tuple[str, ...]


def report(
    folder: Path,
    *,
    clock: Clock = "queries",
    average: str = "mean",
    recommend: Rule = "incumbent",
    ours: str = "",
    venue: str = OWN,
    figures: bool = True,
    seed: int = 0,
    extras: Extras = Extras(),  # noqa: B008 - frozen
    workers: int = 1,
) -> Report:
    """Make `report/` in a results folder: the page, figures (PDF, PNG, CSV) and tables (CSV, MD, TEX).

    Figures of a venue are in a folder of its name. Files of an earlier report of other results are removed.
    The page offers every clock with known costs; figures in files are against `clock`. `average`: mean or
    median over runs. `recommend`: the rule that chooses each run's final cell in tables and tests, the same
    for all searchers; curves always show the incumbent. `ours`: compare this searcher with
    each other one instead of all pairs, which is a smaller family of tests. `figures`: False leaves out the PDF and PNG files,
    which take most of the time. `seed`: of the resampling. `extras`: other studies for the same page. `workers`:
    processes that render figures, which does not change their bytes; -1: one for each core.

    Raises OtherCampaign, NoResults, UnknownCost, UnknownVenue, NotSmoothed, UnknownSearcher,
    NotOurFolder.
    """
    rc = style(venue)
    campaign = load(folder)
    known = extras.pareto(campaign)  # before anything is written
    rng = np.random.default_rng(seed)
    for dataset in campaign.datasets:
        if why := known_clocks(campaign, dataset)[clock]:
            raise UnknownCost(why)
    out = own_folder(folder / FOLDER)
    drawings: list[Drawing] = []
    inks = Inks(
        out if venue == OWN else own_folder(out / venue),
        rc,
        _provenance(campaign, seed),
        out,
        figures,
        drawings,
    )
    files: list[Path] = []
    found = recommendations(campaign)
    ends = finals(found, recommend)
    final = final_table(campaign, found, recommend, rng)
    comparisons = comparison_table(campaign, ends, rng, pairs_of(campaign, ours) if ours else ())
    normal = scores(campaign, ends)
    together = aggregate_table(normal, rng)
    made = tables(campaign, recommend, final, reach_table(campaign, rng), comparisons, together)
    made["paper"] = paper_table(campaign, ends, comparisons, recommend, ours)
    if len(comparisons):
        made["ranking"] = ranking_table(campaign, ends, comparisons)
    pairwise = () if ours or comparisons.empty else campaign.datasets
    matrices = {dataset: matrix(campaign, ends, comparisons, dataset) for dataset in pairwise}
    made["recommended"] = recommendation_table(found, described(campaign), rng)
    sections = [
        curves_section(campaign, inks, clock, average, rng, files),
        *statistics_sections(campaign, inks, made, matrices, normal, rng, files),
        cells_section(campaign, inks, files),
        papers_section(campaign),
        *extra_sections(extras, inks, rng, files),
        *pareto_sections(campaign, known, inks, rng, files),
        runs_section(campaign),
    ]
    _render(drawings, workers)
    for section in sections:
        for table in section.tables:
            files += table.save(out)
    said = verdicts(final, comparisons)
    page = Page(
        title=f"{len(campaign.searchers)} searcher{'s' * (len(campaign.searchers) > 1)} on {printable(campaign.table)}",
        subtitle=f"{', '.join(map(dataset_name, campaign.datasets))} · {campaign.settings.budget} per run · "
        f"{campaign.settings.seed_range}",
        facts=_facts(campaign),
        warnings=_warnings(campaign),
        cards=_cards(final),
        verdicts=said,
        notes=campaign.notes,
        sections=sections,
        searchers=campaign.searchers,
        cells=named_cells(sections),
        glossary=GLOSSARY,
    )
    path = out / PAGE
    save_text(path, render_page(page))
    forget(out, [path, *files], _digest(campaign, average, recommend, ours, seed))
    return Report(path, (path, *files), made["final"], recommend, tuple(said), campaign.notes)


def _render(drawings: list[Drawing], workers: int) -> None:
    """Render figures side by side, in a campaign's processes if it has just ended; a few are not worth a start."""
    for drawing, ended in Local(workers if len(drawings) > 8 else 1, memory=True).run(render, drawings):
        if isinstance(ended, Lost):
            render(drawing)


def _digest(campaign: Campaign, *options: object) -> str:
    """Of everything that the figures depend on."""
    digests = sorted(header.digest for group in campaign.headers.values() for header in group)
    return hashlib.sha256("\n".join([*digests, *map(str, options)]).encode()).hexdigest()


def _provenance(campaign: Campaign, seed: int) -> str:
    headers = [header for group in campaign.headers.values() for header in group]
    commits = sorted({header.commit[:12] or "no commit" for header in headers})
    return (
        f"Table {campaign.table}, sha256 {campaign.settings.table_sha256[:16]}; {len(headers)} result files of "
        f"{', '.join(campaign.searchers)}, {campaign.settings.seed_range}, budget "
        f"{campaign.settings.budget}, repeated queries {campaign.settings.repeats}; commit {', '.join(commits)}; "
        f"resampling seed {seed}."
    )


def _facts(campaign: Campaign) -> list[tuple[str, str]]:
    settings = campaign.settings
    header = next(iter(campaign.headers.values()))[0]
    facts = [
        ("table", f"{campaign.table}, sha256 {settings.table_sha256[:16]}"),
        ("limits of the table", settings.limits),
        ("budget", f"{settings.budget} per run; {_REPEATS[settings.repeats]}"),
        ("command", " ".join(["nasgauge", *header.argv[1:]])),
    ]
    for dataset in campaign.datasets:
        found = {name: headers[0] for (key, name), headers in campaign.headers.items() if key == dataset}
        metrics: dict[str, list[str]] = {}
        for name, header in found.items():
            metrics.setdefault(header.metric, []).append(name)
        alone = len(metrics) == 1
        texts = [metric if alone else f"{metric} ({', '.join(names)})" for metric, names in metrics.items()]
        one = next(iter(found.values()))
        times = "" if one.seconds == "none" else f"; simulated seconds: {one.seconds}"
        what = f"search metric {'; '.join(texts)}; reported accuracy {one.report}{times}"
        facts.append((dataset_name(dataset), what))
    return facts


def _warnings(campaign: Campaign) -> list[str]:
    found: dict[str, list[str]] = {}
    for (dataset, _), headers in campaign.headers.items():
        if headers[0].warning and dataset not in found.setdefault(headers[0].warning, []):
            found[headers[0].warning].append(dataset)
    return [f"{', '.join(map(dataset_name, datasets))}: {warning}." for warning, datasets in found.items()]


def _cards(final: pd.DataFrame) -> list[Card]:
    cards = []
    for dataset, rows in final.groupby("dataset", sort=False):
        first = rows.iloc[0]
        digits = decimals(first.error)
        mean, low, high, regret = (
            cell_text(first[name], digits) for name in ("mean", "low", "high", "regret")
        )
        interval = f"{low} to {high}" if np.isfinite(first.low) else "one run: no interval"
        cards.append(
            Card(
                dataset_name(str(dataset)),
                f"{first.searcher} {mean} %",
                f"{interval}; n = {first.n}; regret {regret}",
            )
        )
    return cards
