"""The consoles that the command line prints to, and the errors that it prints as one line."""

import os
import sys
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Final

from nasgauge.spaces.errors import NasgaugeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console
    from rich.progress import Progress

_SAFE_PATH: Final = "PYTHONSAFEPATH"


class BadOption(NasgaugeError, ValueError):
    """A value that an option of the command line does not take."""


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


def progress() -> "Progress":
    """A bar with counts, elapsed time and what is left, on standard error."""
    from nasgauge.api.progress import terminal_progress

    return terminal_progress(err())


@contextmanager
def installed_modules_first() -> "Iterator[None]":
    """Meanwhile, processes that are started do not look for modules in the current folder first.

    Otherwise a `json.py` there would be imported by every worker instead of Python's own.
    """
    before = os.environ.get(_SAFE_PATH)
    os.environ[_SAFE_PATH] = "1"
    try:
        yield
    finally:
        del os.environ[_SAFE_PATH]
        if before is not None:
            os.environ[_SAFE_PATH] = before


def expected_errors() -> tuple[type[Exception], ...]:
    """The errors that become one line: our own, and the disk's; others stay tracebacks."""
    return NasgaugeError, OSError


def fail(error: BaseException) -> None:
    """One line on stderr that says what came, what is allowed and what to do; before it, one for each note."""
    for note in getattr(error, "__notes__", ()):
        err().print(note, markup=False, style="red")
    err().print(f"error: {' '.join(str(error).split())}", markup=False, style="red")
