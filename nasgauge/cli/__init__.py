"""The command line: the only place where parts are joined.

Each subcommand is a short function in a module of its own. Heavy libraries are imported inside the
functions, so that `nasgauge --help` and a table search start at once.
"""

import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from nasgauge.cli import (
    agreement,
    bench,
    bridge,
    check,
    console,
    data,
    gate,
    proxies,
    report,
    score,
    train,
    verify,
)
from nasgauge.spaces.errors import extras_explained

app = typer.Typer(
    name="nasgauge",
    help="Fair, fast comparison of neural-architecture searchers on NAS-Bench-201.",
    epilog="Start with: nasgauge bench",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(bench.bench)
app.command()(bench.search)
app.command()(train.train)
app.command()(report.report)
app.command()(verify.verify)
app.command()(check.check)
app.command()(gate.gate)
app.add_typer(data.app, name="data")
score.app.command()(proxies.cells)
score.app.command()(agreement.agreement)
score.app.command()(agreement.settings)
score.app.command()(proxies.tenas)
score.app.command()(bridge.bridge)
app.add_typer(score.app, name="score")


def _print_version(wanted: bool) -> None:
    if wanted:
        try:
            console.out().print(f"nasgauge {version('nasgauge')}")
        except PackageNotFoundError:
            console.out().print("nasgauge, not installed")
        raise typer.Exit


@app.callback()
def root(
    show_version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version),
    ] = False,
) -> None:
    """Fair, fast comparison of neural-architecture searchers on NAS-Bench-201."""


def main() -> None:
    """Entry point: our own errors become a line on stderr and exit code 2, or 1 where a searcher failed."""
    try:
        with console.installed_modules_first(), extras_explained():
            app()
    except KeyboardInterrupt:
        console.err().print("interrupted; whole result files are kept, run the same command to go on")
        sys.exit(130)
    except console.expected_errors() as error:
        console.fail(error)
        sys.exit(getattr(error, "exit_code", 2))
