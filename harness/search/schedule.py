"""The order in which units are handed out, and how many at a time, by what earlier ones took."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final, Generic, NamedTuple, TypeVar

J = TypeVar("J")

SECONDS: Final = 2.0
"""What a task should take: much more than it costs to hand it out, much less than the campaign."""
MOST: Final = 500
"""Units in a task."""


class Kind(NamedTuple):
    """What takes about as long: the runs of a searcher on a dataset."""

    searcher: str
    dataset: str


class Schedule(Generic[J]):
    """Hands out tasks: several short units of a kind, or one long one, those with most left to do first.

    What a unit takes is measured by those of its kind before it; the first one of each kind is handed out
    alone, and at once. Which units there are, and their results, do not depend on it.

    >>> schedule = Schedule([(Kind("a", "d"), 1), (Kind("a", "d"), 2), (Kind("a", "d"), 3), (Kind("b", "d"), 4)])
    >>> tasks = iter(schedule)
    >>> next(tasks), next(tasks)
    ([1], [4])
    >>> schedule.took(Kind("a", "d"), 1, 0.5)
    >>> next(tasks)
    [2, 3]
    """

    def __init__(self, jobs: Iterable[tuple[Kind, J]]) -> None:
        self._waiting: dict[Kind, deque[J]] = {}
        for kind, job in jobs:
            self._waiting.setdefault(kind, deque()).append(job)
        self._units: dict[Kind, int] = {}
        self._seconds: dict[Kind, float] = {}
        self._handed: dict[Kind, int] = dict.fromkeys(self._waiting, 0)

    def took(self, kind: Kind, units: int, seconds: float) -> None:
        """Record what some units took."""
        self._units[kind] = self._units.get(kind, 0) + units
        self._seconds[kind] = self._seconds.get(kind, 0.0) + seconds

    def drop(self, searcher: str) -> list[J]:
        """Take a searcher's waiting units away, and return them."""
        dropped: list[J] = []
        for kind, waiting in self._waiting.items():
            if kind.searcher == searcher:
                dropped += waiting
                waiting.clear()
        return dropped

    def __iter__(self) -> Iterator[list[J]]:
        while left := [kind for kind, waiting in self._waiting.items() if waiting]:
            kind = max(left, key=self._left)
            waiting = self._waiting[kind]
            each = self._each(kind)
            count = 1 if each is None else max(min(int(SECONDS / max(each, 1e-6)), len(waiting), MOST), 1)
            self._handed[kind] += count
            yield [waiting.popleft() for _ in range(count)]

    def _each(self, kind: Kind) -> float | None:
        return self._seconds[kind] / self._units[kind] if kind in self._units else None

    def _left(self, kind: Kind) -> tuple[float, float]:
        """Seconds that are left to hand out; of kinds that are not measured, the one handed out least."""
        each = self._each(kind)
        if each is None:
            return (float("inf") if not self._handed[kind] else 0.0, -self._handed[kind])
        return (each * len(self._waiting[kind]), 0.0)
