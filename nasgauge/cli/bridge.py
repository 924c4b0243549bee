"""The retraining check: compare training records with a table (`nasgauge score bridge`, `report --trained`)."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from nasgauge.cli import console, options
from nasgauge.data import DEFAULT_TABLE
from nasgauge.spaces.errors import NasgaugeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from nasgauge.analysis.results.retraining import Bridge, Noise, OfficialCurve, Retrained, TableFigure
    from nasgauge.analysis.results.tables import Table
    from nasgauge.data.curves import Curves
    from nasgauge.data.tables import AccuracyTable, Column
    from nasgauge.harness.records.trainings import TrainingRecord

_RUNS_OF_12_EPOCHS: Final = {("cifar10-valid", 12): 2}
"""Trainings averaged in the 12-epoch results (Dong and Yang, 2020): seeds 111 and 777; on other datasets only 111."""


class NoTrainings(NasgaugeError, LookupError):
    """Raised for a folder without training records."""


def bridge(
    folder: Annotated[
        Path, typer.Argument(help="Folder of training records of nasgauge train.", metavar="DIR")
    ],
    table: options.Table = DEFAULT_TABLE,
    curves: Annotated[
        str, typer.Option(help="Table with learning curves to plot for comparison; --table by default.")
    ] = "",
    out: options.OutByName = None,
    venue: Annotated[
        str, typer.Option(help="Column width and fonts of a venue, as in nasgauge report.")
    ] = "page",
    seed: Annotated[int, options.seed_option("Random seed of the bootstrap.")] = 0,
) -> None:
    """Compare trained cells with the table: differences, prediction intervals and Kendall's tau (retraining check).

    Example:

      nasgauge train --top 5 --from results/bench

      nasgauge score bridge results/trained --table nb201
    """
    import numpy as np

    from nasgauge.analysis.plots.figures import Inks
    from nasgauge.analysis.plots.style import style
    from nasgauge.analysis.report.retraining import bridge_section

    found = gather_bridge(folder, table, curves)
    if not found.figures:
        raise NoTrainings(
            f"nothing in {folder} can be compared with table {found.table} ({'; '.join(found.notes[:1])}); train a "
            f"cell by its recipe: nasgauge train CELL --recipe nb201-12 --dataset cifar10-valid --out {folder}"
        )
    place = out or options.RESULTS / f"bridge-{folder.name}"
    place.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    provenance = f"Table {found.table}; {len(found.runs)} trainings in {folder.name}; resampling seed {seed}."
    inks = Inks(place, style(venue), provenance)
    section = bridge_section(found, inks, np.random.default_rng(seed), files)
    for made in section.tables:
        files += made.save(place)
    if section.tables:
        _print(section.tables)
    for note in section.notes:
        console.out().print(f"note: {note}", markup=False)
    console.out().print(f"{len(files)} files in {place}", markup=False)


def gather_bridge(folder: Path, table: str, curves: str = "") -> "Bridge":
    """Read the training records of a folder and the table entries of the same cells.

    Unfinished trainings and those with other recipes than `nb201-12` and `nb201-200` are skipped, with a note.

    Raises NoTrainings, DamagedTraining, and whatever `nasgauge.data.sources.open_table` raises.
    """
    from nasgauge.analysis.results.retraining import Bridge
    from nasgauge.data.sources import open_curves, open_table
    from nasgauge.harness.records.recipes import RECIPES
    from nasgauge.harness.records.trainings import read

    records = [read(path) for path in sorted(folder.glob("*.parquet"))]
    if not records:
        raise NoTrainings(f"{folder} holds no training record; make one with: nasgauge train --out {folder}")
    notes, whole = [], []
    for record in records:
        header = record.header
        name = f"{header.cell} with {header.recipe.name} on {header.dataset}, seed {header.seed}"
        if not record.finished:
            notes.append(f"{name}: {len(record.epochs)} of {header.recipe.epochs} epochs done, skipped")
            continue
        if header.recipe != RECIPES.get(f"nb201-{header.recipe.epochs}"):
            notes.append(f"{name}: not a recipe of the table, skipped")
            continue
        if header.splits != "official":
            notes.append(f"{name}: trained on a seeded split, not on the official one")
        whole.append(record)
    opened = open_table(table)
    figures = _figures(opened, whole)
    known = {(figure.cell, *figure.fidelity[:2]) for figure in figures}
    for record in whole:
        header = record.header
        if (header.cell, header.dataset, header.recipe.epochs) not in known:
            notes.append(
                f"{header.cell}: table {opened.name} has no accuracy after {header.recipe.epochs} epochs on "
                f"{header.dataset}"
            )
    kept = open_curves(curves or table, whole=True)
    return Bridge(
        opened.name,
        [_retrained(record) for record in whole],
        figures,
        _official(kept, whole) if kept is not None else (),
        list(dict.fromkeys(notes)),
    )


def _retrained(record: "TrainingRecord") -> "Retrained":
    import numpy as np

    from nasgauge.analysis.results.retraining import Retrained

    header, last = record.header, record.epochs[-1]
    accuracy = {"valid": last.valid_accuracy, "test": last.test_accuracy}
    return Retrained(
        header.cell,
        header.dataset,
        header.recipe.epochs,
        header.seed,
        {split: value for split, value in accuracy.items() if not np.isnan(value)},
        {
            f"{split} {metric}": np.array([getattr(epoch, f"{split}_{metric}") for epoch in record.epochs])
            for split in ("train", "valid", "test")
            for metric in ("loss", "accuracy")
        },
    )


def _figures(table: "AccuracyTable", records: "list[TrainingRecord]") -> "list[TableFigure]":
    import numpy as np

    from nasgauge.analysis.results.retraining import Fidelity, TableFigure
    from nasgauge.data.tables import Column
    from nasgauge.spaces.cells import Cell

    found = []
    units = {(r.header.cell, r.header.dataset, r.header.recipe.epochs): None for r in records}
    for dataset, epochs in dict.fromkeys((dataset, epochs) for _, dataset, epochs in units):
        for split in ("valid", "test"):
            column = Column(dataset, epochs, split, "mean")
            if column not in table.columns:
                continue
            values, runs = table.column(column), _runs(table, column)
            noise = _Noise(table, column, runs)
            for text, *_ in (unit for unit in units if unit[1:] == (dataset, epochs)):
                rank = Cell.parse(text).rank
                if np.isnan(values[rank]):
                    continue
                seeds = {seed: float(table.column(_seed(column, seed))[rank]) for seed in table.seeds(column)}
                found.append(
                    TableFigure(
                        text,
                        Fidelity(dataset, epochs, split),
                        float(values[rank]),
                        int(runs[rank]),
                        noise.at(float(values[rank])),
                        {seed: value for seed, value in seeds.items() if not np.isnan(value)},
                    )
                )
    return found


def _seed(column: "Column", seed: int) -> "Column":
    from dataclasses import replace

    return replace(column, seed=seed)


def _runs(table: "AccuracyTable", column: "Column") -> "NDArray[np.float64]":
    """Number of trainings averaged for each cell, (15625,).

    If the table has no single seeds of the column, the number is that of NAS-Bench-201; for 200 epochs it is taken
    from the seeds on CIFAR-10.
    """
    from dataclasses import replace

    import numpy as np

    known = table.seeds(column)
    if not known and column.epochs == 200:
        column = replace(column, dataset="cifar10", split="test")
        known = table.seeds(column)
    if known:
        count = np.sum([~np.isnan(table.column(_seed(column, seed))) for seed in known], axis=0)
        return np.asarray(np.maximum(count, 1), dtype=np.float64)
    return np.full(
        len(table.column(column)), float(_RUNS_OF_12_EPOCHS.get((column.dataset, column.epochs or 0), 1))
    )


class _Noise:
    """Noise of training at a fidelity, estimated from single seeds or else from structurally equal cells."""

    def __init__(self, table: "AccuracyTable", column: "Column", runs: "NDArray[np.float64]") -> None:
        import numpy as np

        from nasgauge.spaces.nb201 import NB201

        seeds = table.seeds(column)
        if len(seeds) > 1:
            single = [table.column(_seed(column, seed)) for seed in seeds]
            self._values = np.concatenate(single)
            self._group = np.tile(np.arange(len(runs)), len(seeds))
            self._runs = np.ones(len(self._values))
        else:
            space = NB201()
            self._values, self._runs = table.column(column), runs
            self._group = np.unique([space.canonical(cell) for cell in space], return_inverse=True)[1]

    def at(self, accuracy: float) -> "Noise":
        from nasgauge.analysis.results.retraining import noise_at

        return noise_at(self._values, self._group, self._runs, accuracy)


def _print(tables: "Sequence[Table]") -> None:
    """Print the differences; the files have all columns."""
    from nasgauge.analysis.results.tables import cell_text

    summary, rows = tables
    say = console.out().print
    for fidelity, part in rows.frame.groupby("fidelity", sort=False):
        say(f"{fidelity}, %", markup=False)
        shown = part[["table", "ours", "difference", "low", "high", "inside", "our runs", "cell"]]
        say(shown.to_string(index=False, float_format="{:.2f}".format), markup=False)
        line = summary.frame[summary.frame["fidelity"] == fidelity].drop(columns="fidelity")
        texts = [cell_text(value) for value in next(line.itertuples(index=False))]
        say(", ".join(f"{name} {text}" for name, text in zip(line.columns, texts, strict=True)), markup=False)
    say(rows.note, markup=False)
    say(summary.note, markup=False)


def _official(curves: "Curves", records: "list[TrainingRecord]") -> "list[OfficialCurve]":
    from nasgauge.analysis.results.retraining import OfficialCurve
    from nasgauge.data.tables import Column, NotInTable
    from nasgauge.spaces.cells import Cell

    found = []
    units = {(r.header.cell, r.header.dataset, r.header.recipe.epochs): None for r in records}
    for text, dataset, epochs in units:
        for split in ("train", "valid", "test"):
            for metric in ("loss", "accuracy"):
                column = Column(dataset, epochs, split, "mean", metric)
                for seed in curves.seeds(column):
                    try:
                        values = curves.curve(Cell.parse(text), _seed(column, seed))
                    except NotInTable:
                        continue
                    found.append(OfficialCurve(text, dataset, epochs, seed, f"{split} {metric}", values))
    return found
