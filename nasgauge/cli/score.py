"""`nasgauge score`: evaluate surrogates and the sample efficiency of searchers, with results of papers for comparison."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasgauge.cli import console, options
from nasgauge.data import DEFAULT_TABLE

if TYPE_CHECKING:
    pass


class Target(StrEnum):
    """The quantity that surrogates predict: search metric or reported accuracy.

    >>> Target("report").value
    'report'
    """

    metric = "metric"
    report = "report"


app = typer.Typer(
    help="Evaluate surrogates, zero-cost proxies, retrained cells and the sample efficiency of searchers.",
    no_args_is_help=True,
)


@app.command()
def predictors(
    out: options.Out = options.RESULTS / "predictors",
    table: options.Table = DEFAULT_TABLE,
    dataset: Annotated[
        str, typer.Option("--dataset", "-d", help="One dataset; the first of the table by default.")
    ] = "",
    target: Annotated[
        Target, typer.Option(help="Predict the search metric (metric) or the reported accuracy (report).")
    ] = Target.metric,
    surrogates: Annotated[
        str, typer.Option(help="Comma-separated names; all installed ones by default.")
    ] = "",
    cells: Annotated[int, typer.Option(help="Training cells of each size.")] = 256,
    trials: Annotated[int, typer.Option(help="Fits of each surrogate at each size.")] = 10,
    top: Annotated[int, typer.Option(help="K in precision and regret of the top K cells.")] = 25,
    seed: Annotated[int, options.seed_option("Random seed.")] = 0,
    workers: options.Workers = -1,
    engine: options.Engine = "local",
    address: options.Address = "",
) -> None:
    """Fit surrogates on cells of one size and rank larger cells: the protocol of PNAS, Table 1.

    Examples:

      nasgauge score predictors --trials 3

      nasgauge score predictors -t nb201 -d cifar100 --surrogates mlp-ensemble,lstm-ensemble,forest
    """
    from itertools import chain

    import numpy as np
    import pandas as pd

    from nasgauge.analysis.results.files import save_csv, save_parquet, save_text
    from nasgauge.analysis.results.predictors import latex, summary
    from nasgauge.data.sources import open_table
    from nasgauge.searchers.surrogates import installed
    from nasgauge.studies.predictors import Protocol, ceilings, seed_columns
    from nasgauge.studies.predictors import trials as fits

    names = tuple(dict.fromkeys(surrogates.split(","))) if surrogates else installed()
    protocol = Protocol(surrogates=names, cells=cells, trials=trials, top=top)
    where = options.engine_of(engine, address, workers)
    opened = open_table(table)
    dataset = dataset or next(iter(opened.views))
    view = opened.view(dataset)
    column = view.expected if target is Target.metric else view.report
    accuracy = opened.column(column)
    console.err().print(f"table {opened.name}: predicting {column}", markup=False)
    with console.progress() as progress:
        each = fits(accuracy, protocol, seed=seed, engine=where)
        rows = list(chain.from_iterable(progress.track(each, protocol.fits, description="fits")))
    noise = ceilings(accuracy, seed_columns(opened, column), np.random.default_rng(seed))
    means = summary(rows, noise)
    save_parquet(out / "trials.parquet", pd.DataFrame(rows).assign(dataset=dataset))
    save_csv(out / "predictors.csv", means)
    save_text(out / "predictors.tex", latex(means))
    columns = ["surrogate", "size", "tested", "fitted", "cells", "spearman", "kendall", "kendall_low"]
    columns += ["kendall_high", "weighted_tau", "precision", "regret"]
    columns += [str(name) for name in means if str(name).startswith(("ceiling", "paper"))]
    console.numbers(means[columns])
    console.out().print(f"written to {out}: trials.parquet, predictors.csv, predictors.tex", markup=False)


@app.command()
def efficiency(
    ours: Annotated[Path, typer.Argument(help="Results folder of the searcher to evaluate.")],
    rivals: Annotated[Path, typer.Argument(help="Results folder of the baselines, with many more queries.")],
    out: options.Out = options.RESULTS / "efficiency",
    at: Annotated[
        str, typer.Option(help="Numbers of evaluations at which to compare, comma-separated.")
    ] = "50,100,192",
    seed: Annotated[int, options.seed_option("Random seed of the bootstrap.")] = 0,
) -> None:
    """Speed-up in evaluations over the baselines at equal accuracy: the protocol of PNAS, Table 2.

    Example:

      nasgauge bench -t nb201 -s pnas -b 192 -o results/pnas

      nasgauge bench -t nb201 -s random,reinforce -b 10000 -o results/rivals

      nasgauge score efficiency results/pnas results/rivals
    """
    import numpy as np

    from nasgauge.analysis.results.files import save_csv, save_text
    from nasgauge.analysis.results.sample_efficiency import (
        answers,
        check_comparable,
        compare,
        frame,
        latex,
        steps_of,
    )
    from nasgauge.harness.records.results import references_of, settings_of

    try:
        points = [int(text) for text in at.split(",")]
        if min(points) < 1:
            raise ValueError
    except ValueError:
        raise console.BadOption(
            f"--at {at!r} is not understood; give comma-separated numbers from 1, as in 50,100,192"
        ) from None
    rng = np.random.default_rng(seed)
    settings = settings_of(ours)
    check_comparable(settings, settings_of(rivals))
    mine = steps_of(ours)
    exact = references_of(rivals) if settings.repeats == "charge" else {}
    curves = {name: reference.random for name, reference in exact.items()}
    lines = frame(compare(mine, steps_of(rivals), points, rng))
    if lines.empty:
        raise console.BadOption(
            f"{ours} and {rivals} share no dataset, or no run of {ours} has {min(points)} queries; give fewer with --at"
        )
    chosen = frame(answers(mine, points, curves, rng))
    save_csv(out / "efficiency.csv", lines)
    save_csv(out / "answers.csv", chosen)
    save_text(out / "efficiency.tex", latex(lines))
    console.numbers(lines)
    console.numbers(chosen)
    console.out().print(f"written to {out}: efficiency.csv, efficiency.tex, answers.csv", markup=False)
