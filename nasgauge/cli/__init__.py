"""The command line: the only place where parts are joined.

Each subcommand is a short function in a module of its own. Heavy libraries are imported inside the
functions, so that `nasgauge --help` and a table search start at once.
"""

import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Final

import typer

from nasgauge.cli import (
    agreement,
    bench,
    bridge,
    catalogue,
    check,
    console,
    data,
    final,
    gate,
    latency,
    merge,
    pack,
    proxies,
    report,
    score,
    tenas,
    train,
    transfer,
    verify,
)
from nasgauge.harness.search.processes import installed_modules_first
from nasgauge.spaces.errors import extras_explained

_INTERRUPTED: Final = 130
_UNREAD: Final = 141
"""As a shell says of a command that ends because nobody reads its output: 128 and the number of SIGPIPE."""

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
app.command()(transfer.transfer)
app.command()(merge.merge)
app.command()(pack.pack)
app.command()(verify.verify)
app.command()(check.check)
app.command()(gate.gate)
app.command()(catalogue.searchers)
app.command()(catalogue.proxies)
app.command()(catalogue.recipes)
app.command("tables")(data.list_tables)
app.add_typer(data.app, name="data")
score.app.command()(proxies.cells)
score.app.command()(agreement.agreement)
score.app.command()(agreement.settings)
score.app.command()(tenas.tenas)
score.app.command()(bridge.bridge)
score.app.command()(final.final)
score.app.command()(latency.latency)
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
    """Entry point: errors and bad options become a line on stderr and exit code 2, or 1 where a searcher failed."""
    console.prepare()
    try:
        with installed_modules_first(), extras_explained():
            code = app(prog_name="nasgauge", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        code = _INTERRUPTED
    except SystemExit as error:
        if not isinstance(error.__context__, BrokenPipeError):  # rich leaves then, with 1
            raise
        sys.exit(_UNREAD)
    except console.expected_errors() as error:
        console.fail(error)
        sys.exit(getattr(error, "exit_code", 2))
    except Exception as error:
        if not hasattr(error, "format_message"):  # not typer's own
            raise
        console.fail_usage(error)
        sys.exit(2)
    if code == _INTERRUPTED:
        console.err().print("interrupted; whole result files are kept, run the same command to go on")
    sys.exit(code or 0)
