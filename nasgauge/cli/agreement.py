"""The commands `nasgauge score agreement` and `settings`: how well zero-cost proxies rank cells."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from nasgauge.cli import console, options
from nasgauge.data import DEFAULT_TABLE


def agreement(
    table: options.Table = DEFAULT_TABLE,
    scores: Annotated[str, typer.Option(help="File of scores.", show_default="shipped")] = "",
    over: Annotated[
        Literal["classes", "cells"] | None,
        typer.Option(
            help="Unit of the statistics: a structural class, or each of its cells; by default both."
        ),
    ] = None,
    out: options.Out = options.RESULTS / "agreement",
    resamples: Annotated[int, typer.Option(help="Resamples of the bootstrap.", min=20)] = 200,
    seed: Annotated[int, options.seed_option("Random seed of the bootstrap.")] = 0,
) -> None:
    """How well zero-cost proxies rank cells by test accuracy, and what they know beyond FLOPs.

    Of a single draw of weights and images, and of the mean of several, with 95 % intervals over classes and draws:

    Kendall's tau, Spearman's rho, partial tau given FLOPs, tau at equal FLOPs and among the best cells, and precision.

    The row "one training" is the noise ceiling. Further tables have tau between two draws of a score, and published
    figures beside ours.

    Example:

      nasgauge score agreement --table nb201 --out results/agreement
    """
    import numpy as np
    import pandas as pd

    from nasgauge.analysis.plots.agreement import draw_agreement
    from nasgauge.analysis.plots.figures import Inks
    from nasgauge.analysis.results.agreement import chosen, frame, latex, page, tables
    from nasgauge.analysis.results.files import save_text
    from nasgauge.analysis.statistics.agreement import Over, Row
    from nasgauge.data.sources import open_table
    from nasgauge.harness.proxies.score_files import read, shipped
    from nasgauge.studies.agreement import redrawn, seconds, study

    opened = open_table(table)
    recipe, kept = read(Path(scores)) if scores else shipped()
    rows: list[Row] = []
    units: tuple[Over, ...] = (over,) if over else ("cells", "classes")
    with console.progress() as progress:
        for unit in units:
            found = study(kept, opened, np.random.default_rng(seed), over=unit, count=resamples)
            rows += progress.track(found, description=f"figures over {unit}")
    numbers = frame(rows, seconds(kept))
    part = chosen(numbers, over=units[0])
    height = 0.3 + 0.075 * part["proxy"].nunique()
    files = Inks(out, provenance=str(recipe)).save(
        "agreement", lambda figure: draw_agreement(figure, part), numbers, aspect=(1.5, height)
    )
    between = list(redrawn(kept, np.random.default_rng(seed), count=resamples))
    found_tables = tables(numbers, between)
    notes = [
        f"Made by `nasgauge score agreement` from the table `{opened.name}` with {resamples} resamples, seed {seed}.",
        f"Scores: {recipe}.",
    ]
    save_text(out / "draws.csv", pd.DataFrame(between).to_csv(index=False))
    save_text(out / "agreement.tex", latex(found_tables))
    save_text(out / "agreement.md", page(found_tables, notes))
    for title, shown in found_tables.items():
        console.out().print(f"\n{title}", markup=False)
        console.numbers(shown.drop(columns="conditions", errors="ignore"))
    names = [*(file.name for file in files), "draws.csv", "agreement.tex", "agreement.md"]
    console.out().print(f"written to {out}: {', '.join(names)}", markup=False)


def settings(
    out: options.Out = options.RESULTS / "settings",
    count: Annotated[
        int, typer.Option("--count", help="Number of structural classes, a uniform sample.", min=3)
    ] = 150,
    images: Annotated[str, typer.Option(help=options.IMAGES)] = "sample",
    table: options.Table = DEFAULT_TABLE,
    seed: Annotated[int, options.seed_option("Random seed of weights, images and bootstrap.")] = 0,
    workers: options.Workers = -1,
    engine: options.Engine = "local",
    address: options.Address = "",
) -> None:
    """Kendall's tau of kappa and regions against the batch size, the number of crops and of repeats.

    Measurements are kept in OUT/settings.parquet; the same command continues after an interruption.

    Example:

      nasgauge score settings --count 150 --images cifar10
    """
    import numpy as np
    import pandas as pd

    from nasgauge.analysis.plots.agreement import draw_settings
    from nasgauge.analysis.plots.figures import Inks
    from nasgauge.data.images import open_images
    from nasgauge.data.sources import open_table
    from nasgauge.harness.proxies.scores import classes
    from nasgauge.harness.proxies.sizes import Plan, measure, read
    from nasgauge.studies.settings import settings as taus

    pixels = open_images(images)
    plan, path = Plan(images_md5=pixels.md5(), seed=seed), out / "settings.parquet"
    ranks = classes()[:count]
    where = options.engine_of(engine, address, workers)
    with console.progress() as progress:
        for _ in progress.track(measure(ranks, pixels, plan, path, where), len(ranks), description="classes"):
            pass
    opened = open_table(table)
    accuracies = {dataset: opened.column(view.report) for dataset, view in opened.views.items()}
    kept = [value for value in read(path, plan) if value.rank in ranks]
    frame = pd.DataFrame(taus(kept, accuracies, np.random.default_rng(seed)))
    files = Inks(out).save("settings", lambda figure: draw_settings(figure, frame), frame, aspect=(1.25, 0.9))
    console.numbers(frame)
    console.out().print(f"written to {out}: {', '.join(file.name for file in files)}", markup=False)
