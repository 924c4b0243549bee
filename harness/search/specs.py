"""How to choose cells: the registry of searchers, and how one is made from its name.

A searcher is any class with `ask` and `tell` (see `nasgauge.harness.search.runner.Searcher`) whose constructor takes a
space and a generator, and options by keyword. Other packages add theirs through the entry-point group
`nasgauge.searchers`; a class that is nowhere registered is named by where it is, `my_package.module:MyClass`.
"""

import importlib
import importlib.metadata
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from types import MappingProxyType
from typing import Any, Final, Protocol

import numpy as np

from nasgauge.spaces.cells import Cell
from nasgauge.spaces.nb201 import NB201

Option = int | float | str | bool

ENTRY_POINTS: Final = "nasgauge.searchers"


class UnknownSearcher(LookupError):
    """A name that stands for no searcher."""


class InvalidOption(ValueError):
    """An option that the searcher does not have, or a value that it does not take."""


class CellSearcher(Protocol):
    """A searcher of NAS-Bench-201 cells."""

    def ask(self) -> Sequence[Cell]:
        """The next cells to evaluate; none when the search is over."""
        ...

    def tell(self, cell: Cell, accuracy: float) -> None:
        """The validation accuracy of a cell that was asked for, in percent."""
        ...


@dataclass(frozen=True)
class Preset:
    """A searcher's class, by module and name, and the options that the name stands for."""

    target: str
    options: Mapping[str, Option] = field(default_factory=dict)

    def load(self) -> Callable[..., CellSearcher]:
        """Import the class."""
        module, _, name = self.target.partition(":")
        factory: Callable[..., CellSearcher] = getattr(importlib.import_module(module), name)
        return factory


SEARCHERS: Final[Mapping[str, Preset]] = MappingProxyType(
    {
        "bananas": Preset("nasgauge.searchers.bananas:Bananas"),
        "evolution": Preset("nasgauge.searchers.evolution:Evolution"),
        "local": Preset("nasgauge.searchers.local_search:LocalSearch"),
        "pnas": Preset("nasgauge.searchers.pnas:PNAS"),
        "pnas-ucb": Preset("nasgauge.searchers.pnas:PNAS", {"explore": "ucb"}),
        "random": Preset("nasgauge.searchers.random_search:RandomSearch"),
        "reinforce": Preset("nasgauge.searchers.reinforce:Reinforce"),
        "smbo": Preset("nasgauge.searchers.smbo:SMBO"),
        "tenas": Preset("nasgauge.searchers.tenas:TENAS"),
        "tpe": Preset("nasgauge.searchers.optuna_tpe:TPE"),
    }
)
"""Our own searchers, by name."""


@cache
def presets() -> Mapping[str, Preset]:
    """All searchers: ours, and those of installed packages, which cannot take one of our names."""
    others = {
        point.name: Preset(point.value) for point in importlib.metadata.entry_points(group=ENTRY_POINTS)
    }
    return others | dict(SEARCHERS)


@dataclass(frozen=True)
class Spec:
    """A searcher and its options, as text: `evolution`, or `evolution:population=50:tournament=10`.

    A class by its place takes options alike: `my_package.module:MyClass:population=50`.

    >>> str(Spec.parse("evolution:population=50"))
    'evolution:population=50'
    >>> Spec.parse("evolution").settings()
    {'population': 10, 'tournament': 3}
    """

    name: str
    options: tuple[tuple[str, Option], ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Spec":
        """Read a name with options, check both, and convert the values.

        Raises UnknownSearcher, InvalidOption.
        """
        name, *pairs = text.strip().split(":")
        if pairs and "=" not in pairs[0] and name not in presets():
            name = f"{name}:{pairs.pop(0)}"
        defaults = cls(name).settings()
        options: dict[str, Option] = {}
        for pair in pairs:
            key, _, value = pair.partition("=")
            if key not in defaults:
                known = ", ".join(defaults) or "none"
                raise InvalidOption(f"searcher {name} has no option {key!r}; its options: {known}")
            options[key] = _convert(name, key, value, defaults[key])
        spec = cls(name, tuple(sorted(options.items())))
        spec.make(NB201(), np.random.default_rng(0))
        return spec

    def __str__(self) -> str:
        return ":".join([self.name, *(f"{key}={value}" for key, value in self.options)])

    def settings(self) -> dict[str, Option]:
        """Every option of the searcher with its value.

        Raises UnknownSearcher.
        """
        preset = _preset(self.name)
        parameters = inspect.signature(preset.load()).parameters.values()
        defaults = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
        simple = {key: value for key, value in defaults.items() if isinstance(value, Option)}
        return {**simple, **preset.options, **dict(self.options)}

    def make(self, space: Any, rng: np.random.Generator) -> CellSearcher:
        """A new searcher.

        Raises UnknownSearcher, InvalidOption.
        """
        preset = _preset(self.name)
        try:
            return preset.load()(space, rng, **{**preset.options, **dict(self.options)})
        except ValueError as error:
            raise InvalidOption(f"searcher {self.name}: {error}") from error


def _preset(name: str) -> Preset:
    known = presets()
    try:
        return known[name] if ":" not in name else _elsewhere(name)
    except KeyError:
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UnknownSearcher(
            f"unknown searcher {name!r}; choose from {', '.join(sorted(known))}{hint}"
        ) from None


def _elsewhere(target: str) -> Preset:
    """The class that `module:name` stands for."""
    preset = Preset(target)
    try:
        found = preset.load()
    except Exception as error:  # the module is not ours: whatever it raises says why it cannot be had
        raise UnknownSearcher(
            f"there is no searcher {target} ({type(error).__name__}: {error}); write it as module:Class"
        ) from error
    if not callable(found):
        raise UnknownSearcher(f"{target} is {found!r}, not a class; write it as module:Class")
    return preset


def _convert(name: str, key: str, value: str, default: Option) -> Option:
    try:
        if isinstance(default, bool):
            return {"true": True, "false": False}[value.lower()]
        return type(default)(value)
    except (KeyError, ValueError):
        kind = "true or false" if isinstance(default, bool) else f"a value like {default!r}"
        raise InvalidOption(f"searcher {name}: option {key} takes {kind}, not {value!r}") from None
