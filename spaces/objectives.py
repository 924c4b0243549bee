"""Objectives beside accuracy, and constraints on them: values with one text form each.

Analytic are `flops`, `params` and `memory`; measured on a device, and looked up in a table, `latency@DEVICE` and
`energy@DEVICE`.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal, get_args

from nasgauge.spaces.errors import NasgaugeError

Direction = Literal["min", "max"]
Relation = Literal["<=", ">="]

UNITS: Final[Mapping[str, str]] = MappingProxyType(
    {"flops": "M", "params": "M", "memory": "MB", "latency": "ms", "energy": "mJ"}
)
"""The unit of each quantity; M: millions."""
DEVICES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "latency": ("edgegpu", "raspi4", "edgetpu", "pixel3", "eyeriss", "fpga"),
        "energy": ("edgegpu", "eyeriss", "fpga"),
    }
)
"""The devices of the quantities that are measured on one."""
_CONSTRAINT: Final = re.compile(r"(.+?)(<=|>=)(\d+\.?\d*(?:e-?\d+)?)")


class UnknownObjective(NasgaugeError, LookupError):
    """A text that names no objective, or a direction or device that it does not have."""


class InvalidConstraint(NasgaugeError, ValueError):
    """A text that is no constraint, or a constraint that no cell meets."""


@dataclass(frozen=True, slots=True)
class Objective:
    """What is minimised, or maximised, beside accuracy.

    >>> Objective.parse("latency@edgegpu"), Objective.parse("latency@edgegpu").unit
    (Objective(quantity='latency', device='edgegpu', direction='min'), 'ms')
    >>> str(Objective.parse("params/max")), str(Objective.parse("flops/min"))
    ('params/max', 'flops')
    """

    quantity: str
    """One of `UNITS`."""
    device: str = ""
    """One of `DEVICES` of the quantity; empty for an analytic one."""
    direction: Direction = "min"

    def __post_init__(self) -> None:
        """Raises UnknownObjective."""
        if self.quantity not in UNITS:
            raise UnknownObjective(f"unknown objective {self.quantity!r}; choose from {', '.join(names())}")
        if self.device not in DEVICES.get(self.quantity, ("",)):
            known = ", ".join(name for name in names() if name.partition("@")[0] == self.quantity)
            raise UnknownObjective(
                f"objective {self.quantity} has no device {self.device!r}; choose from {known}"
            )
        if self.direction not in get_args(Direction):
            raise UnknownObjective(
                f"objective {self.quantity} has no direction {self.direction!r}; choose from min, max"
            )

    @classmethod
    def parse(cls, text: str) -> "Objective":
        """Read `params`, `latency@edgegpu`, or one with a direction, `params/max`.

        Raises UnknownObjective.
        """
        named, slash, direction = text.strip().partition("/")
        quantity, _, device = named.partition("@")
        return cls(quantity, device, direction if slash else "min")  # type: ignore[arg-type] # checked when made

    @property
    def unit(self) -> str:
        """The unit of its figures."""
        return UNITS[self.quantity]

    @property
    def sign(self) -> int:
        """1, or -1 where more is better: a figure times it is a cost, lower is better."""
        return 1 if self.direction == "min" else -1

    @property
    def label(self) -> str:
        """For an axis: `latency on edgegpu, ms`.

        >>> Objective.parse("memory").label
        'memory, MB'
        """
        return f"{self.quantity}{f' on {self.device}' if self.device else ''}, {self.unit}"

    def __str__(self) -> str:
        device = f"@{self.device}" if self.device else ""
        return f"{self.quantity}{device}{'' if self.direction == 'min' else '/max'}"


@dataclass(frozen=True, slots=True)
class Constraint:
    """A limit on a figure, in the unit of its objective; the limit itself is allowed.

    >>> str(Constraint.parse("latency@edgegpu <= 5.0")), Constraint.parse("params>=0.2").relation
    ('latency@edgegpu<=5', '>=')
    """

    objective: Objective
    relation: Relation
    limit: float

    def __post_init__(self) -> None:
        """Raises InvalidConstraint."""
        if self.relation not in get_args(Relation) or not math.isfinite(self.limit):
            raise InvalidConstraint(
                f"constraint {self.objective} {self.relation} {self.limit} is none; write params<=0.5"
            )
        object.__setattr__(self, "objective", replace(self.objective, direction="min"))

    @classmethod
    def parse(cls, text: str) -> "Constraint":
        """Read `latency@edgegpu<=5` or `params>=0.2`.

        Raises InvalidConstraint, UnknownObjective.
        """
        found = _CONSTRAINT.fullmatch("".join(text.split()))
        if found is None:
            raise InvalidConstraint(
                f"constraint {text!r} is not understood; write an objective, <= or >=, and a number, as params<=0.5"
            )
        objective, relation, limit = found.groups()
        return cls(Objective.parse(objective), relation, float(limit))  # type: ignore[arg-type] # as the pattern

    def __str__(self) -> str:
        return f"{self.objective}{self.relation}{self.limit:.15g}"


def names() -> tuple[str, ...]:
    """All objectives, to be minimised.

    >>> len(names()), names()[:4]
    (12, ('flops', 'params', 'memory', 'latency@edgegpu'))
    """
    return tuple(
        f"{quantity}@{device}" if device else quantity
        for quantity in UNITS
        for device in DEVICES.get(quantity, ("",))
    )


def objectives(text: str) -> tuple[Objective, ...]:
    """Objectives joined with `+`, each once; none for an empty text.

    Raises UnknownObjective.

    >>> [str(one) for one in objectives("latency@edgegpu+params")]
    ['latency@edgegpu', 'params']
    """
    return tuple(dict.fromkeys(Objective.parse(part) for part in text.split("+"))) if text else ()


def constraints(text: str) -> tuple[Constraint, ...]:
    """Constraints joined with `+`, all of which must hold; none for an empty text.

    Raises InvalidConstraint, UnknownObjective.

    >>> [str(one) for one in constraints("latency@edgegpu<=5+params<=0.5")]
    ['latency@edgegpu<=5', 'params<=0.5']
    """
    return tuple(dict.fromkeys(Constraint.parse(part) for part in text.split("+"))) if text else ()
