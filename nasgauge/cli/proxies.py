"""The command `nasgauge score cells`: zero-cost proxies."""

from typing import Annotated, Final

import typer

from nasgauge.cli import console, options
from nasgauge.spaces.cells import Cell


def cells(
    texts: Annotated[
        list[str] | None, typer.Argument(help="Cells as official strings.", metavar="CELL…")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Score one cell of each of the 6,466 structural classes.")
    ] = False,
    names: Annotated[
        str, typer.Option("--proxies", "-p", help="Comma-separated names; all installed ones by default.")
    ] = "",
    draws: Annotated[
        int, typer.Option(help="Draws of weights; each is combined with as many draws of the batch.", min=1)
    ] = 1,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted run in the same folder.")
    ] = False,
    count: Annotated[
        int | None, typer.Option(help="With --all: number of classes, a uniform sample.", min=1)
    ] = None,
    crossed: Annotated[
        int | None,
        typer.Option(help="With --all: number of classes that get all draws; the others get one.", min=0),
    ] = None,
    share: Annotated[
        str, typer.Option(help="With --all: K/N, to score the K-th of N parts, as in 1/2 and 2/2.")
    ] = "1/1",
    out: options.Out = options.RESULTS / "scores",
    images: Annotated[str, typer.Option(help=options.IMAGES)] = "sample",
    device: Annotated[str, typer.Option(help="cpu, cuda, …")] = "cpu",
    workers: options.Workers = -1,
    engine: options.Engine = "local",
    address: options.Address = "",
    storage: options.Storage = "",
) -> None:
    """Compute zero-cost proxies of cells on the benchmark's full network; kappa and regions on TE-NAS's small ones.

    The two numbers before a score are the draw of weights and the draw of the batch. A score that is not finite ranks last,
    and the reason stands beside it. With --all, the scores are written to --out, and flops, params and l2_norm are
    computed for every cell of the classes.

    Examples:

      nasgauge score cells "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|" -p params,naswot

      nasgauge score cells --all --images cifar10 --draws 2 --crossed 300
    """

    from nasgauge.data.images import open_images
    from nasgauge.data.storage import Store
    from nasgauge.harness.network.inputs import open_device
    from nasgauge.harness.proxies.registry import proxies
    from nasgauge.harness.proxies.score_files import Recipe, UnfitScores, gather, not_finite, read
    from nasgauge.harness.proxies.scores import Scorer, classes, members, score_cells
    from nasgauge.spaces.nb201 import NB201

    chosen = [Cell.parse(text) for text in texts or ()]
    if bool(chosen) == every:
        raise typer.BadParameter("give cells, or --all")
    only: dict[str, object] = {
        "--resume": resume,
        "--count": count,
        "--crossed": crossed is not None,
        "--share": share != "1/1",
    }
    only |= {
        "--workers": workers != -1,
        "--engine": engine != "local",
        "--address": address,
        "--storage": storage,
    }
    if unused := [option for option, given in only.items() if given and not every]:
        raise console.BadOption(f"{', '.join(unused)} does nothing without --all; leave it out, or add --all")
    part, parts = _share(share)
    named = proxies(names.split(",") if names else ())
    opened, place = open_images(images), open_device(device)
    recipe = Recipe(images=images, images_md5=opened.md5() if every else "", draws=draws)
    if every:
        where, store = options.engine_of(engine, address, workers), Store.of(out, storage)
        store.begin()
        if any(out.rglob("part-*.parquet")) and not (resume or parts > 1):
            raise UnfitScores(f"{out} already holds scores; add --resume to continue, or give another folder")
        firsts = list(classes()[:count])
        most = len(firsts) if crossed is None else crossed
        for folder, needs_path, groups in (
            ("classes", True, [(first,) for first in firsts]),
            ("cells", False, [members()[first] for first in firsts]),
        ):
            some = {name: proxy for name, proxy in named.items() if proxy.needs_path is needs_path}
            if not some:
                continue
            for done, total in score_cells(
                Scorer(recipe, opened, place, some),
                out / folder,
                [rank for group in groups for rank in group],
                crossed=sum(map(len, groups[:most])),
                share=(part - 1, parts),
                engine=where,
                store=store,
            ):
                console.err().print(f"{done} of {total} {folder}")
        scored = gather(out, out / "scores.parquet")
        store.keep(out / "scores.parquet")
        for (proxy, reason), ranks in not_finite(read(out / "scores.parquet")[1]).items():
            example = NB201()[ranks[0]]
            console.err().print(
                f"{proxy}: {len(ranks)} cells rank last: {reason}; {example} is one", markup=False
            )
        console.out().print(f"{scored} cells in {out / 'scores.parquet'}")
        return
    scorer = Scorer(recipe, opened, place, named)
    for cell in chosen:
        console.out().print(console.named(cell), markup=False)
        for score in scorer.score(cell):
            text = f"{score.value:.6g}"
            if score.proxy in _IN_MILLIONS:
                text = f"{score.value / 1e6:.{_IN_MILLIONS[score.proxy]}f} M"
            if score.reason:
                text += f": {score.reason}"
            draw = f"{score.weights},{score.batch}"
            console.out().print(f"  {score.proxy:11} {draw} {text}  ({score.seconds:.2f} s)", markup=False)


_IN_MILLIONS: Final = {"flops": 2, "params": 6}
"""Proxies printed in millions, as the benchmark does, and their decimals."""


def _share(text: str) -> tuple[int, int]:
    try:
        part, parts = map(int, text.split("/"))
    except ValueError:
        part, parts = 0, 0
    if not 1 <= part <= parts:
        raise typer.BadParameter(f"--share {text!r} is not understood; give K/N with 1 <= K <= N, as in 1/2")
    return part, parts
