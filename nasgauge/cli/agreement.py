"""The commands `nasgauge score agreement` and `settings`: how well zero-cost proxies rank cells."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasgauge.cli import console
from nasgauge.data import DEFAULT_TABLE

if TYPE_CHECKING:
    import pandas as pd


def settings(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder of the measurements, tables and figures.")
    ] = Path("results/settings"),
    count: Annotated[
        int, typer.Option("--count", help="Number of structural classes, a uniform sample.", min=3)
    ] = 150,
    images: Annotated[str, typer.Option(help="sample, cifar10, or a folder of CIFAR-10 files.")] = "sample",
    table: Annotated[
        str, typer.Option("--table", "-t", help="Name of a table, or a .npz file.")
    ] = DEFAULT_TABLE,
    seed: Annotated[int, typer.Option(help="Random seed of weights, images and bootstrap.", min=0)] = 0,
) -> None:
    """Kendall's tau of kappa and regions against the batch size, the number of crops and of repeats.

    Measurements are kept in OUT/settings.parquet; the same command continues after an interruption.
    """
    import numpy as np
    import pandas as pd
    import torch

    from nasgauge.analysis.plots.agreement import draw_settings
    from nasgauge.analysis.plots.figures import Inks
    from nasgauge.data.images import open_images
    from nasgauge.data.sources import open_table
    from nasgauge.harness.proxies.scores import classes
    from nasgauge.studies.settings import Plan, measure, read
    from nasgauge.studies.settings import settings as taus

    torch.set_num_threads(1)  # the kernels are too small to profit from threads
    pixels = open_images(images)
    plan, path = Plan(images_md5=pixels.md5(), seed=seed), out / "settings.parquet"
    ranks = classes()[:count]
    with console.progress() as progress:
        for _ in progress.track(measure(ranks, pixels, plan, path), len(ranks), description="classes"):
            pass
    opened = open_table(table)
    accuracies = {dataset: opened.column(view.report) for dataset, view in opened.views.items()}
    kept = [value for value in read(path, plan) if value.rank in ranks]
    frame = pd.DataFrame(taus(kept, accuracies, np.random.default_rng(seed)))
    files = Inks(out).save("settings", lambda figure: draw_settings(figure, frame), frame, aspect=(1.25, 0.9))
    _print(frame)
    console.out().print(f"written to {out}: {', '.join(file.name for file in files)}", markup=False)


def _print(numbers: "pd.DataFrame") -> None:
    text = numbers.to_string(index=False, float_format=lambda value: f"{value:.3f}", na_rep="")
    console.out().print(text, markup=False)
