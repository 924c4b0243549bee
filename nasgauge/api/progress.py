"""Progress bars with counts and the remaining time: in a terminal by rich, in a notebook as HTML."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID


class Bar(Protocol):
    """A progress bar."""

    def advance(self, amount: float) -> None:
        """Add to what is done."""

    def describe(self, what: str) -> None:
        """Change the text beside the bar."""

    def say(self, line: str) -> None:
        """Print a line above the bar."""

    def status(self, line: str) -> None:
        """Report the state of the work: beside the bar in a terminal, as a line in a file."""


@contextmanager
def progress_bar(what: str, total: float, *, done: float = 0.0, shown: bool = True) -> Iterator[Bar]:
    """A bar of `total` pieces of work, of which `done` were there before."""
    if not shown:
        yield _Silent()
    elif _in_notebook():
        yield _Html(what, total, done)
    else:
        from rich.console import Console

        progress = terminal_progress(Console(stderr=True, highlight=False))
        bar = _Terminal(progress, progress.add_task(what, total=total, completed=int(done)))
        with progress if total > done else nullcontext():  # without work there are lines, but no bar
            yield bar


def terminal_progress(console: "Console") -> "Progress":
    """Bars with counts, the elapsed and the remaining time, on a console."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, TextColumn("left"), Remaining(), console=console)


class _Silent:
    def advance(self, amount: float) -> None:
        pass

    def describe(self, what: str) -> None:
        pass

    def say(self, line: str) -> None:
        pass

    def status(self, line: str) -> None:
        pass


class _Terminal:
    def __init__(self, progress: "Progress", task: "TaskID") -> None:
        self.progress = progress
        self.task = task

    def advance(self, amount: float) -> None:
        self.progress.advance(self.task, amount)

    def describe(self, what: str) -> None:
        self.progress.update(self.task, description=what)

    def say(self, line: str) -> None:
        self.progress.console.print(line, markup=False, soft_wrap=True)

    def status(self, line: str) -> None:
        if self.progress.console.is_terminal:
            self.describe(line)
        else:
            self.say(line)


def _in_notebook() -> bool:
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython  # type: ignore[import-not-found,unused-ignore] # there only in notebooks

    return type(get_ipython()).__name__ == "ZMQInteractiveShell"


class _Html:
    """A bar in the output of a notebook's cell, redrawn in place; it needs no widgets."""

    def __init__(self, what: str, total: float, done: float) -> None:
        from IPython.display import display  # type: ignore[import-not-found,unused-ignore]

        self.what, self.total, self.done, self.before = what, total, done, done
        self.start = self.drawn = time.monotonic()
        self.handle: Any = cast(Any, display)(self, display_id=True)  # IPython has no types

    def advance(self, amount: float) -> None:
        self.done += amount
        now = time.monotonic()
        if now - self.drawn > 0.2 or self.done >= self.total:
            self.drawn = now
            self.handle.update(self)

    def describe(self, what: str) -> None:
        self.what = what

    say = status = describe

    def __repr__(self) -> str:
        return f"{self.what} {self.done:g}/{self.total:g}"

    def _repr_html_(self) -> str:
        spent = time.monotonic() - self.start
        rate = (self.done - self.before) / spent if spent else 0.0
        left = (
            f", about {(self.total - self.done) / rate:.0f} s left" if rate and self.done < self.total else ""
        )
        return (
            f'{self.what} <progress value="{self.done:g}" max="{self.total:g}"></progress> '
            f"{self.done:g} of {self.total:g}, {spent:.0f} s{left}"
        )
