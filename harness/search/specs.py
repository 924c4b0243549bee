"""Searchers and spaces by name, searchers also by place or by class, and how they are made with their options.

A searcher is any class with `ask` and `tell` (see `nasgauge.harness.search.runner.Searcher`) whose constructor takes a
space and a generator, and options by keyword. Installed packages, nasgauge among them, declare theirs by name through
the entry-point group `nasgauge.searchers`. A class that no package declares is named by its place, `my_module:MyClass`,
or passed as it is.
"""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nasgauge.data.figures import figures, met
from nasgauge.data.plugins import load
from nasgauge.harness.records.steps import SOURCE
from nasgauge.harness.search.failures import TIME_LIMIT, Hangs, SearcherFailed, reason_of, time_limit
from nasgauge.harness.search.lookup import (
    CellSearcher,
    Factory,
    Folders,
    UnknownSearcher,
    at_place,
    checked,
    import_folders,
    named,
)
from nasgauge.harness.search.warm_start import WarmStart
from nasgauge.searchers.aims import Aimed, CostSearcher
from nasgauge.spaces.cells import N_CELLS
from nasgauge.spaces.errors import NasgaugeError
from nasgauge.spaces.nb201 import NB201, Space
from nasgauge.spaces.objectives import constraints, objectives

__all__ = (
    "CellSearcher", "InvalidOption", "Option", "Searchable", "Spec", "UnknownSearcher", "UnknownSpace", "open_space", "text_of",
)  # fmt: skip

Option = int | float | str | bool

_WARM: Final[dict[str, Option]] = {"warm": "", "warm_cells": 10, "warm_pool": 1000}
"""The options of a warm start, which every searcher has."""
_AIMS: Final[dict[str, Option]] = {"objective": "", "constraint": ""}
"""Objectives beside accuracy, which a `CostSearcher` has, and constraints, which every searcher has."""


class InvalidOption(NasgaugeError, ValueError):
    """An option that a searcher or a space does not have, or a value that it does not take."""


class UnknownSpace(NasgaugeError, LookupError):
    """A text that names no search space, or a space that its options do not make."""


@dataclass(frozen=True)
class Spec:
    """A searcher and its options.

    As text: `evolution`, `evolution:population=50:tournament=10`, `my_module:MyClass:population=50`. Equal
    texts are equal specs. Every searcher has the options of a warm start by a zero-cost proxy, `warm`,
    `warm_cells` and `warm_pool` (see `nasgauge.harness.search.warm_start.WarmStart`), and `constraint`, such as
    `params<=0.5`; one that minimises costs has `objective`, such as `latency@edgegpu` (see `nasgauge.searchers.aims`).

    A spec can be pickled, and made into a searcher in any process: modules are found there as here, and joblib
    (which uses cloudpickle) also carries classes of `__main__` and of notebooks.

    >>> str(Spec.of("evolution", population=50))
    'evolution:population=50'
    >>> Spec.of("evolution").settings()
    {'population': 10, 'tournament': 10}
    >>> Spec.of("evolution:warm=naswot").settings()
    {'population': 10, 'tournament': 10, 'warm': 'naswot', 'warm_cells': 10, 'warm_pool': 1000}
    """

    name: str
    options: tuple[tuple[str, Option], ...]
    folders: Folders = field(compare=False, repr=False)
    # a pickle is read in order: the folders are on the path before the class is looked up
    factory: Factory = field(compare=False, repr=False)
    packages: tuple[str, ...] = field(default=(), compare=False, repr=False)
    """Those that the searcher says it uses, as `nasgauge.harness.search.runner.Searcher`."""
    source: str = field(default="", compare=False, repr=False)
    """SHA-256 of the earlier runs that a warm start is from; empty if it is from none."""

    @classmethod
    def of(cls, searcher: "Searchable", **options: object) -> "Spec":
        """A searcher from its text, its class, a `functools.partial` of a class, or a spec; with further options.

        Raises UnknownSearcher, InvalidOption, SearcherFailed.

        >>> from nasgauge.searchers.evolution import Evolution
        >>> str(Spec.of(Evolution, population=50))
        'nasgauge.searchers.evolution:Evolution:population=50'
        """
        if isinstance(searcher, Spec):
            return searcher._with(options)
        if isinstance(searcher, str):
            return cls.parse(searcher)._with(options)
        found: Any = searcher
        if isinstance(found, partial) and not found.args:
            found, options = found.func, {**found.keywords, **options}
        name = f"{found.__module__}:{found.__qualname__}" if isinstance(found, type) else repr(found)
        return cls._from(name, found)._with(options)

    @classmethod
    def parse(cls, text: str) -> "Spec":
        """Read a name or a place with options, check both, and convert the values.

        A place, `module:Class`, is looked for among the installed packages and in the current folder.

        Raises UnknownSearcher, InvalidOption, SearcherFailed.
        """
        name, pairs = parts_of(text)
        spec = cls._from(name, at_place(name) if ":" in name else named(name))
        return spec._with({key: value for key, _, value in (pair.partition("=") for pair in pairs)})

    @classmethod
    def _from(cls, name: str, found: object) -> "Spec":
        return cls(name, (), import_folders(), checked(name, found))

    def _with(self, given: Mapping[str, object]) -> "Spec":
        """The same searcher with further options, which are tried."""
        own, shared = self._own() | dict(self.options), _WARM | _AIMS
        shown = f"{', '.join(own) or 'none'}, and {', '.join(shared)}"
        options = dict(self.options) | _read(f"searcher {self.name}", given, shared | own, shown)
        if "warm" not in options and (idle := sorted(options.keys() & _WARM.keys() - self._own().keys())):
            raise InvalidOption(
                f"searcher {self.name}: {', '.join(idle)} needs a proxy, warm=naswot for example"
            )
        spec = replace(self, options=tuple(sorted(options.items())), source="")
        try:
            with time_limit(TIME_LIMIT, lambda: None):
                made = spec._made(NB201(), np.random.default_rng(0))
                packages = tuple(getattr(made, "packages", ()))
        except NasgaugeError:
            raise
        except (Exception, SystemExit, Hangs) as error:
            raise SearcherFailed(
                f"searcher {spec} cannot be made: {reason_of(error, spec.factory)}"
            ) from error
        constraints(str(options.get("constraint", "")))
        if objectives(str(options.get("objective", ""))) and not self.takes_objectives:
            raise InvalidOption(
                f"searcher {self.name} takes no objective beside accuracy, for it has no minimise and tell_costs; "
                "choose nsga2, or give a constraint"
            )
        return replace(spec, packages=packages, source=made.source if isinstance(made, WarmStart) else "")

    def __str__(self) -> str:
        return ":".join([self.name, *(f"{key}={value}" for key, value in self.options)])

    def settings(self) -> dict[str, Option]:
        """Every option of the searcher with its value; those of a warm start, and what it is from, only if it has one."""
        warm = _WARM if "warm" in dict(self.options) else {}
        return self._own() | warm | dict(self.options) | ({SOURCE: self.source} if self.source else {})

    def _own(self) -> dict[str, Option]:
        """The options that the searcher declares, with their defaults."""
        signature = inspect.signature(self.factory)
        taken = signature.bind(None, None).arguments  # the space and the generator
        return _defaults(p for p in signature.parameters.values() if p.name not in taken)

    @property
    def takes_objectives(self) -> bool:
        """Whether it minimises costs beside accuracy; see `nasgauge.searchers.aims.CostSearcher`."""
        found = self.factory.func if isinstance(self.factory, partial) else self.factory
        return isinstance(found, type) and issubclass(found, CostSearcher)

    @property
    def asks_epochs(self) -> bool:
        """Whether it is a multi-fidelity searcher: its constructor has the keyword `fidelities`."""
        return "fidelities" in inspect.signature(self.factory).parameters

    @property
    def aims(self) -> dict[str, Option]:
        """Its objectives and constraints, as text; those that are its searcher's own options apart."""
        return {
            key: value for key, value in self.options if key in _AIMS.keys() - self._own().keys() and value
        }

    def make(
        self, space: Any, rng: np.random.Generator, fidelities: Sequence[int] = (), *, dataset: str = ""
    ) -> CellSearcher:
        """A new searcher.

        One that asks for epochs is given `fidelities`, or keeps its default. `dataset` is the one whose networks have
        the figures of objectives and constraints.

        Raises InvalidOption if its constructor raises ValueError, or if there are objectives or constraints and the
        space has no figures; InvalidConstraint if no cell meets the constraints, NoCosts.
        """
        if not self.aims:
            return self._made(space, rng, fidelities)
        if not isinstance(space, NB201):
            raise InvalidOption(f"searcher {self}: objectives and constraints need cells of nb201")
        return self._made(space, rng, fidelities, dataset)

    def _made(
        self, space: Any, rng: np.random.Generator, fidelities: Sequence[int] = (), dataset: str | None = None
    ) -> CellSearcher:
        """As `make`; without a dataset, objectives and constraints play no part."""
        own, aims, options = self._own(), self.aims, dict[str, Any](self.options)
        warm = {key: options.pop(key) for key in _WARM.keys() - own.keys() if key in options}
        for key in aims:
            del options[key]
        if self.asks_epochs and (unfit := [*warm, *aims]):
            raise InvalidOption(
                f"searcher {self.name} chooses how long cells are trained; {', '.join(unfit)} cannot do so, leave it out"
            )
        if self.asks_epochs and fidelities:
            options["fidelities"] = fidelities
        allowed = None if dataset is None else met(constraints(str(aims.get("constraint", ""))), dataset)
        try:
            searcher: Any = self.factory(space, rng, **options)
            if dataset is not None and allowed is not None:
                searcher = Aimed(searcher, allowed, _costs(str(aims.get("objective", "")), dataset))
            if "warm" not in warm:
                return searcher  # type: ignore[no-any-return]  # of whichever protocol
            proxy, cells, pool = (_WARM | warm).values()
            return WarmStart(
                searcher,
                space,
                rng,
                proxy=str(proxy),
                cells=int(cells),
                pool=int(pool),
                allowed=allowed,
                source=self.source,
            )
        except ValueError as error:
            raise InvalidOption(f"searcher {self.name}: {error}") from error


def _costs(text: str, dataset: str) -> NDArray[np.float64]:
    """The figures of objectives as costs, (15625, objectives): lower is better, infinite where there is none."""
    found = [figures(one, dataset) * one.sign for one in objectives(text)]
    return np.nan_to_num(np.stack(found, axis=1), nan=np.inf) if found else np.empty((N_CELLS, 0))


Searchable = Spec | str | Factory
"""What stands for a searcher: a spec, its text, a class, or a `functools.partial` of a class."""


def open_space(text: str) -> Space[Any]:
    """A search space from its name and options: `nb201`, `pnas`, `pnas:blocks=3`, `darts`.

    Installed packages declare theirs through the entry-point group `nasgauge.spaces`.

    Raises UnknownSpace, InvalidOption.

    >>> open_space("pnas:blocks=1").decisions
    (2, 2, 8, 8)
    """
    name, *pairs = text.strip().split(":")
    try:
        factory = load("nasgauge.spaces", name)
    except NasgaugeError as error:
        raise UnknownSpace(str(error)) from error
    defaults = _defaults(inspect.signature(factory).parameters.values())
    given = {key: value for key, _, value in (pair.partition("=") for pair in pairs)}
    options = _read(f"space {name}", given, defaults, ", ".join(defaults) or "none")
    try:
        space: Space[Any] = factory(**options)
    except ValueError as error:
        raise UnknownSpace(f"space {name}: {error}") from error
    return space


def parts_of(text: str) -> tuple[str, list[str]]:
    """The name or the place in the text of a searcher, and its options as text.

    >>> parts_of("my:Searcher:size=3"), parts_of("pnas:beam=8")
    (('my:Searcher', ['size=3']), ('pnas', ['beam=8']))
    """
    name, *pairs = text.strip().split(":")
    return (f"{name}:{pairs[0]}", pairs[1:]) if pairs and "=" not in pairs[0] else (name, pairs)


def text_of(searcher: Searchable) -> str:
    """The text by which another process finds a searcher; a text is given back as it is.

    Raises UnknownSearcher for a class that another process cannot import, InvalidOption.

    >>> from nasgauge.searchers.evolution import Evolution
    >>> text_of(Evolution), text_of("evolution:population=50")
    ('nasgauge.searchers.evolution:Evolution', 'evolution:population=50')
    """
    if isinstance(searcher, str):
        return searcher
    text = str(Spec.of(searcher))
    if text.startswith("__main__:") or "<locals>" in text:
        raise UnknownSearcher(f"{text} cannot be imported by another process; move the class to a module")
    return text


def _defaults(parameters: Iterable[inspect.Parameter]) -> dict[str, Option]:
    return {p.name: p.default for p in parameters if isinstance(p.default, Option)}


def _read(
    owner: str, given: Mapping[str, object], defaults: Mapping[str, Option], shown: str
) -> dict[str, Option]:
    """The given options as values of the types of the defaults; `shown` are the known ones, for the error."""
    for key in given:
        if key not in defaults:
            raise InvalidOption(f"{owner} has no option {key!r}; its options: {shown}")
    return {key: _convert(owner, key, value, defaults[key]) for key, value in given.items()}


def _convert(owner: str, key: str, value: object, default: Option) -> Option:
    """A value as the option's type, by way of its text, so that the spec's text reads back."""
    text = str(value)
    try:
        if not isinstance(value, Option | np.generic) or set(text) & set(":,"):
            raise ValueError
        if isinstance(default, bool):
            return {"true": True, "false": False}[text.lower()]
        return type(default)(text)
    except (KeyError, ValueError):
        kind = "true or false" if isinstance(default, bool) else f"a value like {default!r}"
        raise InvalidOption(f"{owner}: option {key} takes {kind}, not {value!r}") from None
