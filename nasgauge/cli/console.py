"""The consoles that the command line prints to, and the errors that it prints as one line."""

import errno
import io
import os
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from nasgauge.spaces.errors import NasgaugeError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import pandas as pd
    from rich.console import Console
    from rich.progress import Progress

    from nasgauge.spaces.cells import Cell


class BadOption(NasgaugeError, ValueError):
    """A value that an option of the command line does not take."""


def prepare() -> None:
    """Make standard output and error take every text: characters that their encoding lacks become question marks."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed, as by >&-
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - for the rest of the process
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


@cache
def out() -> "Console":
    """The terminal, for results."""
    from rich.console import Console

    # in a file or a log nothing is shortened to the 80 columns that a terminal may have
    return Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)


@cache
def err() -> "Console":
    """Standard error, for progress, notes and errors."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def table(
    title: str,
    columns: "Sequence[str]",
    rows: "Sequence[Sequence[str]]",
    *,
    left: "Collection[str]" = (),
    optional: "Sequence[str]" = (),
) -> None:
    """Print a table of which nothing is shortened.

    In a terminal that is too narrow, columns of `optional` are left out, the first of them first, and named below.
    In a file or a log, a table is as wide as it needs. `left`: the columns that are aligned to the left.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    def made(dropped: list[str]) -> Table:
        grid = Table(
            box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True, title=escape(title), title_justify="left"
        )
        for name in columns:
            if name not in dropped:
                grid.add_column(name, justify="left" if name in left else "right", no_wrap=True)
        for row in rows:
            kept = (text for name, text in zip(columns, row, strict=True) if name not in dropped)
            grid.add_row(*map(escape, kept))  # a name may look like markup
        return grid

    def width(grid: Table) -> int:
        return grid.__rich_measure__(console, console.options.update(max_width=10_000)).maximum

    console = out()
    dropped: list[str] = []
    for name in optional if console.is_terminal else ():
        if width(made(dropped)) <= console.width:
            break
        dropped.append(name)
    grid = made(dropped)
    wide = Console(file=console.file, force_terminal=console.is_terminal, width=max(width(grid), len(title)))
    wide.print(grid, markup=False)
    if dropped:
        console.print(f"not shown in {console.width} columns: {', '.join(dropped)}", markup=False)


def index_of(cell: "Cell") -> int:
    """The official index of a cell, as `nas-bench-201` counts."""
    from nasgauge.data.sources import open_table

    official = open_table().official
    assert official is not None  # the default table has them
    return int(official[cell.rank])


def named(cell: "Cell") -> str:
    """A cell by its official index, its code and its string.

    >>> from nasgauge.spaces.nb201 import NB201
    >>> named(NB201()[0])
    '1651 000000 |none~0|+|none~0|none~1|+|none~0|none~1|none~2|'
    """
    from nasgauge.spaces.architectures import short_name

    return f"{index_of(cell)} {short_name(cell)} {cell}"


def numbers(frame: "pd.DataFrame") -> None:
    """Print a frame with three decimals."""
    text = frame.to_string(index=False, float_format=lambda value: f"{value:.3f}", na_rep="")
    out().print(text, markup=False)


def progress() -> "Progress":
    """A bar with counts, elapsed time and what is left, on standard error."""
    from nasgauge.api.progress import terminal_progress

    return terminal_progress(err())


def expected_errors() -> tuple[type[Exception], ...]:
    """The errors that become one line: our own, and the disk's; others stay tracebacks."""
    return NasgaugeError, OSError


def explained(error: BaseException) -> str:
    """An error in a sentence; of the operating system's, without its number.

    >>> explained(PermissionError(13, "Permission denied", "results"))
    'results: Permission denied; give another path, or change its permissions'
    """
    if not isinstance(error, OSError) or isinstance(error, NasgaugeError) or error.strerror is None:
        return str(error)
    remedy = {
        errno.EACCES: "; give another path, or change its permissions",
        errno.ENOENT: "; give a path that exists",
        errno.ENOSPC: "; free some space and run the same command again",
    }.get(error.errno or 0, "; give another path")
    what = error.filename2 or error.filename
    where = "" if what is None else f"{what}: "
    return f"{where}{error.strerror}{remedy}"


def fail(error: BaseException) -> None:
    """One line on stderr that says what came, what is allowed and what to do; before it, one for each note."""
    for note in getattr(error, "__notes__", ()):
        err().print(note, markup=False, style="red")
    err().print(f"error: {' '.join(explained(error).split())}", markup=False, style="red")


def fail_usage(error: Any) -> None:
    """The same for a command line that typer cannot read."""
    if type(error).__name__ == "NoArgsIsHelpError":  # a command without any arguments: its help
        error.show()
        return
    context = getattr(error, "ctx", None)
    command = "nasgauge" if context is None else context.command_path
    fail(BadOption(f"{error.format_message().rstrip('.')}; see: {command} --help"))
