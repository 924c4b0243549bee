"""What every engine does."""

import importlib.metadata
import platform
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from nasgauge.spaces.errors import NasgaugeError

T = TypeVar("T")
R = TypeVar("R")


class InvalidEngine(NasgaugeError, ValueError):
    """An engine that is not known, cannot be reached, or has no room for the work."""


@dataclass(frozen=True)
class Lost:
    """The result of a task whose process ended while it ran."""

    reason: str


class TaskLost(NasgaugeError, RuntimeError):
    """A task of a study whose process ended each time that it was tried."""

    exit_code = 1


class Engine(Protocol):
    """Runs tasks."""

    def run(self, function: Callable[[T], R], tasks: Iterable[T]) -> Generator[tuple[T, R | Lost]]:
        """Each task with its result, as it finishes; what `function` raises is raised.

        `function` and tasks are pickled by value where another process cannot import them.
        """
        ...


def whole(results: Generator[tuple[T, R | Lost]]) -> Generator[tuple[T, R]]:
    """The results, if no task is lost.

    Raises TaskLost.
    """
    with closing(results):
        for task, result in results:
            if isinstance(result, Lost):
                raise TaskLost(
                    f"a task ended without a result ({result.reason}); what was finished is kept, run the command again"
                )
            yield task, result


_PACKAGES: Final = ("nasgauge", "numpy", "pyarrow")


def versions() -> dict[str, str]:
    """Versions that decide results and their bytes, in the process that calls this."""
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    return found | {package: importlib.metadata.version(package) for package in _PACKAGES}


def check_versions(where: str, theirs: Mapping[str, str]) -> None:
    """Raise InvalidEngine, which names what differs, if a cluster has other versions than this process.

    >>> check_versions("the cluster", versions() | {"numpy": "1.0"})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    nasgauge.harness.engines.base.InvalidEngine: the cluster has numpy 1.0, here is ...; install the same there
    """
    for package, ours in versions().items():
        if theirs.get(package) != ours:
            raise InvalidEngine(
                f"{where} has {package} {theirs.get(package)}, here is {ours}; install the same there"
            )
