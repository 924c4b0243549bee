"""`nasgauge score latency`: latency of cells on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from nasgauge.cli import console
from nasgauge.spaces.cells import Cell


def latency(
    texts: Annotated[list[str], typer.Argument(help="Cells as official strings.", metavar="CELL…")],
    dataset: Annotated[
        str, typer.Option("--dataset", "-d", help="Whose classes and image sides the network has.")
    ] = "cifar10",
    batch: Annotated[int, typer.Option(help="Images of a forward pass.")] = 1,
    warm_up: Annotated[int, typer.Option(help="Passes before any is measured.")] = 10,
    passes: Annotated[int, typer.Option(help="Passes that are measured.")] = 100,
    threads: Annotated[int, typer.Option(help="Of PyTorch on the CPU.")] = 1,
    device: Annotated[str, typer.Option(help="cpu, cuda, …")] = "cpu",
    csv: Annotated[
        Path | None, typer.Option("--csv", help="Write the same figures to this file.", metavar="FILE")
    ] = None,
) -> None:
    """Measure the latency of cells on this machine: the median of many forward passes after a warm-up, in ms.

    Beside it stands the table's latency on its six devices. Measure on a machine that does nothing else.

    Example:

      nasgauge score latency "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|" --passes 200
    """
    import pandas as pd

    from nasgauge.analysis.results.files import save_csv
    from nasgauge.data.figures import figures
    from nasgauge.spaces.objectives import DEVICES, Objective
    from nasgauge.studies.latency import Measurement, latencies, machine

    cells = [Cell.parse(text) for text in texts]
    how = Measurement(
        dataset=dataset, batch=batch, warm_up=warm_up, passes=passes, threads=threads, device=device
    )
    devices = DEVICES["latency"]
    table = {name: figures(Objective("latency", name), dataset) for name in devices}
    rows = [
        {
            "cell": str(one.cell),
            "median": one.median,
            "low": one.low,
            "high": one.high,
            "fastest": one.fastest,
        }
        | {name: float(table[name][one.cell.rank]) for name in devices}
        for one in latencies(cells, how)
    ]
    frame = pd.DataFrame(rows)
    console.table(
        "Latency of a forward pass, ms",
        list(frame.columns),
        [[str(cell), *map(_text, values)] for cell, *values in frame.itertuples(index=False, name=None)],
        left=("cell",),
        optional=devices,
    )
    console.out().print(
        f"median, low, high, fastest: measured on {machine(how)}, {how.passes} passes of {how.batch} "
        f"image{'s' * (how.batch > 1)} after {how.warm_up}; low, high: 95 % interval of the median. Others: table hw, batch as "
        "its authors measured",
        markup=False,
    )
    if csv is not None:
        save_csv(csv, frame)
        console.out().print(f"written to {csv}", markup=False)


def _text(value: float) -> str:
    return f"{value:.3f}" if value == value else "–"
