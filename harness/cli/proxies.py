"""`nasgauge score …`: zero-cost proxies of cells, and TE-NAS searches."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli import console

app = typer.Typer(help="Score cells without training them.", no_args_is_help=True)


@app.command()
def cells(
    texts: Annotated[
        list[str] | None, typer.Argument(help="Cells as official texts.", metavar="CELL…")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All 6,466 structural classes.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what the folder holds.")] = False,
    count: Annotated[
        int | None, typer.Option(help="With --all: only so many classes, a uniform sample.", min=1)
    ] = None,
    out: Annotated[Path, typer.Option(help="With --all: the folder of the scores.")] = Path("scores"),
    images: Annotated[str, typer.Option(help="sample, cifar10, or a folder.")] = "sample",
    device: Annotated[str, typer.Option(help="cpu, cuda, …")] = "cpu",
) -> None:
    """Score cells by every proxy; with --all keep the scores in files that a later run goes on with."""
    import torch

    from data.images import open_images
    from harness.cells import Cell
    from harness.network.inputs import open_device
    from harness.proxies.scores import Recipe, Scorer, UnfitScores, gather, score_classes

    chosen = [Cell.parse(text) for text in texts or ()]
    if bool(chosen) == every:
        raise typer.BadParameter("give cells, or --all")
    torch.set_num_threads(1)  # the kernels are small: more threads only wait for one another
    scorer = Scorer(Recipe(images=images), open_images(images), open_device(device))
    if every:
        if any(out.glob("part-*.parquet")) and not resume:
            raise UnfitScores(f"{out} already holds scores; add --resume to go on, or give another folder")
        for done, total in score_classes(scorer, out, count):
            console.err().print(f"{done} of {total} classes")
        scored = gather(out, out / "scores.parquet")
        console.out().print(f"{scored} classes in {out / 'scores.parquet'}")
        return
    for cell in chosen:
        console.out().print(str(cell), markup=False)
        for score in scorer.score(cell):
            value = f"{score.value:.6g}" if not score.reason else f"undefined: {score.reason}"
            console.out().print(
                f"  {score.proxy:10} {score.repeat} {value}  ({score.seconds:.2f} s)", markup=False
            )
