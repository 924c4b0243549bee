"""What the command line prints on, and which errors are the user's to mend."""

import sys
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

_OURS = ("nasgauge",)


class BadOption(ValueError):
    """A value that an option of the command line does not take."""


@cache
def out() -> "Console":
    """The terminal, for results."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


@cache
def err() -> "Console":
    """Standard error, for progress, notes and errors."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def progress() -> "Progress":
    """A bar with counts, elapsed time and what is left, on standard error."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.progress import TimeRemainingColumn as Eta

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, TextColumn("left"), Eta(), console=err())


def expected_errors() -> tuple[type[Exception], ...]:
    """The error classes of our own modules that were imported, and the disk's; others stay tracebacks."""
    ours = {
        value
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] in _OURS
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Exception)
        and value.__module__.partition(".")[0] in _OURS
    }
    return (*ours, OSError)


def fail(error: BaseException) -> None:
    """One line on stderr that says what came, what is allowed and what to do."""
    err().print(f"error: {' '.join(str(error).split())}", markup=False, style="red")
