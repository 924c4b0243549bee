"""What every engine does."""

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from nasgauge.spaces.errors import NasgaugeError

T = TypeVar("T")
R = TypeVar("R")


class InvalidEngine(NasgaugeError, ValueError):
    """An engine that is not known, cannot be reached, or has no room for the work."""


@dataclass(frozen=True)
class Lost:
    """The result of a task whose process ended while it ran."""

    reason: str


class Engine(Protocol):
    """Runs tasks."""

    def run(self, function: Callable[[T], R], tasks: Iterable[T]) -> Generator[tuple[T, R | Lost]]:
        """Each task with its result, as it finishes; what `function` raises is raised.

        `function` and tasks are pickled by value where another process cannot import them.
        """
        ...
