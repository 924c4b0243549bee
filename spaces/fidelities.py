"""Trainings of a chosen length: what a searcher asks for that trains many cells briefly and few of them fully."""

from typing import Final, Generic, NamedTuple, TypeVar

C = TypeVar("C")


class At(NamedTuple, Generic[C]):
    """A cell, trained for some epochs.

    >>> At("a cell", 12).epochs
    12
    """

    cell: C
    epochs: int
    """Those of the whole training, not of its continuation."""


EVERY_EPOCH: Final = range(1, 201)
"""The fidelities of a whole learning curve of NAS-Bench-201, what a searcher assumes before it is given any."""
