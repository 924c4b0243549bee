"""`gate`: whether search got worse since a baseline was stored."""

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasgauge.cli import console, options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nasgauge.gate.baseline import Baseline
    from nasgauge.gate.compare import Report

_SETTINGS = "Settings (stored by --update; later runs repeat the stored ones)"


def gate(
    baseline: Annotated[Path, typer.Option("--baseline", help="The stored results, a JSON file.")] = Path(
        "nasgauge-baseline.json"
    ),
    update: Annotated[bool, typer.Option("--update", help="Run, and store the results.")] = False,
    searchers: options.Searchers = "",
    seeds: Annotated[int | None, options.SEEDS] = None,
    first_seed: Annotated[int | None, options.FIRST_SEED] = None,
    table: options.Table = "",
    dataset: options.Dataset = "",
    budgets: Annotated[
        str | None,
        typer.Option("--budgets", help="Queries, ascending, by comma.", rich_help_panel=_SETTINGS),
    ] = None,
    margin: Annotated[
        str | None,
        typer.Option(
            help="Loss that must be noticed: points (0.1) or a share of the regret (25%).",
            rich_help_panel=_SETTINGS,
        ),
    ] = None,
    speed: Annotated[bool, typer.Option(help="Judge seconds a step too.")] = True,
    markdown: Annotated[Path | None, typer.Option(help="Write a report in Markdown.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write a report in JUnit XML.")] = None,
    time_limit: Annotated[float, typer.Option(help="Seconds for ten runs of a searcher.")] = 120.0,
    workers: options.Workers = -1,
) -> None:
    """Say whether search got worse: exit code 0 no, 1 yes or a searcher failed, 2 cannot tell.

    The defaults of searchers, seeds, table and datasets are the stored ones. A first seed behind the stored ones
    gives fresh seeds, and an unpaired test.

    Examples:

      nasgauge gate --update --baseline tests/baseline.json

      nasgauge gate --baseline tests/baseline.json --junit gate.xml
    """
    if not time_limit > 0:
        raise console.BadOption(
            f"--time-limit {time_limit:g} is too short; give a positive number of seconds"
        )
    from nasgauge.gate import commands

    given = {
        "table": table or None,
        "budgets": _budgets(budgets),
        "margin": margin,
        "seeds": seeds,
        "first_seed": first_seed,
    }
    asked = {name: value for name, value in given.items() if value is not None}
    names, datasets = _split(searchers), _split(dataset)
    with _progress() as advance:
        bounds = commands.Bounds(time_limit=time_limit, workers=workers, advance=advance)
        if update:
            made = commands.update(baseline, asked, names, datasets, bounds)
        else:
            report = commands.against(baseline, asked, names, datasets, bounds, speed=speed)
    if update:
        _say_made(baseline, made)
        return
    _write(report, markdown, junit)
    _say(report)
    raise typer.Exit(report.code)


def _split(text: str | None) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()


def _budgets(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(budget) for budget in text.split(","))
    except ValueError:
        raise console.BadOption(
            f"--budgets {text!r} is not understood; write numbers of queries as 50,150"
        ) from None


@contextmanager
def _progress() -> "Iterator[Callable[[int, int], object]]":
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    progress = Progress(*columns, console=console.err(), transient=True)
    task = progress.add_task("runs", total=None)

    def advance(ended: int, total: int) -> None:
        progress.start()
        progress.update(task, total=total, advance=ended)

    try:
        yield advance
    finally:
        if progress.live.is_started:  # an error before the first run is one line, and nothing else
            progress.stop()


def _say_made(path: Path, made: "Baseline") -> None:
    from nasgauge.gate.commands import seeds_for

    say = console.out().print
    settings = made.settings
    say(
        f"{path}: {len(made.searchers)} searchers, {', '.join(made.datasets)}, seeds {settings.first_seed} to "
        f"{settings.first_seed + settings.seeds - 1}, after {', '.join(map(str, settings.budgets))} queries",
        markup=False,
    )
    for name, needed in seeds_for(made).items():
        few = " (more than are stored)" if needed > settings.seeds else ""
        say(f"{name}: fresh seeds need about {needed} on each side{few}", markup=False)


def _write(report: "Report", page: Path | None, suite: Path | None) -> None:
    from nasgauge.data.atomic import replacing
    from nasgauge.gate import render

    for path, text in ((page, render.markdown), (suite, render.junit)):
        if path is not None:
            with replacing(path) as file:
                file.write(text(report).encode())


def _say(report: "Report") -> None:
    from nasgauge.gate import render

    say = console.out().print
    rows = [
        (
            row.searcher, row.dataset, str(row.budget), f"{row.then:.3f}", f"{row.now:.3f}",
            f"{row.verdict.difference.mean:+.3f}", f"{row.verdict.margin:.3f}", row.verdict.difference.design,
            row.verdict.word,
        )
        for row in report.comparisons
    ]  # fmt: skip
    console.table(
        report.title,
        ("searcher", "dataset", "queries", "then", "now", "difference", "margin", "test", "verdict"),
        rows,
        left=("searcher", "dataset", "test", "verdict"),
        optional=("test", "then", "now"),
    )
    for row in report.comparisons:
        if row.verdict.word in ("worse", "cannot tell"):
            say(
                f"{row.verdict.word}: {row.searcher} on {row.dataset} after {row.budget} queries: {render.reason(row)}",
                markup=False,
            )
    for speed in report.speeds:
        say(
            f"speed {speed.word}: {speed.searcher} on {speed.dataset}: {render.speed_reason(speed)}",
            markup=False,
        )
    for note in report.notes:
        say(f"note: {note}", markup=False)
    say(f"{render.outcome(report)}: {report.summary}", markup=False)
