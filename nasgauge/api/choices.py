"""Checks of what is given to the public API."""

from collections.abc import Iterable
from typing import Literal

from nasgauge.spaces.errors import NasgaugeError

Average = Literal["mean", "median"]
"""Of runs, in a figure."""


class InvalidChoice(NasgaugeError, ValueError):
    """An argument that is none of the allowed values, or too small."""


def check_choice(name: str, value: object, allowed: Iterable[object]) -> None:
    """Raise InvalidChoice if a value is none of these.

    >>> check_choice("clock", "hours", ["queries", "epochs"])
    Traceback (most recent call last):
    ...
    nasgauge.api.choices.InvalidChoice: clock must be one of queries, epochs, not 'hours'
    """
    allowed = list(allowed)
    if value not in allowed:
        raise InvalidChoice(f"{name} must be one of {', '.join(map(str, allowed))}, not {value!r}")
