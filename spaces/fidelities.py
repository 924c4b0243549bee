"""Trainings of a chosen length: what a searcher asks for that trains many cells briefly and few of them fully."""

from collections.abc import Sequence
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

C = TypeVar("C")


class At(NamedTuple, Generic[C]):
    """A cell, trained for some epochs.

    >>> At("a cell", 12).epochs
    12
    """

    cell: C
    epochs: int
    """Those of the whole training, not of its continuation."""


class LengthSearcher(Protocol[C]):
    """A searcher that chooses training lengths; its constructor has the keyword `fidelities`, the lengths that there are."""

    def ask(self) -> Sequence[At[C]]:
        """The next trainings; none when the search is over."""
        ...

    def tell(self, asked: At[C], accuracy: float) -> None:
        """The validation accuracy after a training that was asked for, in percent, in the order asked."""
        ...


EVERY_EPOCH: Final = range(1, 201)
"""The fidelities of a whole learning curve of NAS-Bench-201, what a searcher assumes before it is given any."""
