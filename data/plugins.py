"""Searchers, spaces, proxies and tables by name: the entry points of installed packages, nasgauge's own included.

Nothing is imported before it is loaded, and a package that is broken, or that claims a name of another, spoils
none but its own names.
"""

import importlib.metadata
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint
from types import MappingProxyType
from typing import Any, Final, Literal

from nasgauge.spaces.errors import NasgaugeError

Group = Literal["nasgauge.searchers", "nasgauge.spaces", "nasgauge.proxies", "nasgauge.tables"]

KINDS: Final[Mapping[Group, str]] = MappingProxyType(
    {
        "nasgauge.searchers": "searcher",
        "nasgauge.spaces": "space",
        "nasgauge.proxies": "proxy",
        "nasgauge.tables": "table",
    }
)
"""What an entry point of each group is called in messages."""


class UnknownName(NasgaugeError, LookupError):
    """A name that no installed package declares."""


class NameClash(NasgaugeError, ValueError):
    """A name that two installed packages declare."""


class PluginFailed(NasgaugeError, ImportError):
    """An entry point whose object cannot be imported."""


@cache
def declared(group: Group) -> Mapping[str, tuple[EntryPoint, ...]]:
    """The declared names of a group, sorted, each with its entry points: several if packages clash.

    The packages are looked through once in a process; `declared.cache_clear()` makes it look again.

    >>> "evolution" in declared("nasgauge.searchers")
    True
    """
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for point in sorted(importlib.metadata.entry_points(group=group), key=lambda point: point.name):
        found[point.name] = (*found.get(point.name, ()), point)
    return MappingProxyType(found)


def built_in(group: Group) -> tuple[str, ...]:
    """The names of a group that nasgauge itself declares, sorted.

    >>> "random" in built_in("nasgauge.searchers")
    True
    """
    return tuple(
        name
        for name, points in declared(group).items()
        if "nasgauge" in (_package(point) for point in points)
    )


def load(group: Group, name: str) -> Any:
    """The object that a name stands for.

    Raises UnknownName; NameClash if two packages declare the name; PluginFailed if it cannot be imported.

    >>> load("nasgauge.searchers", "random").__name__
    'RandomSearch'
    """
    known, kind = declared(group), KINDS[group]
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        names = ", ".join(known) or "none: nasgauge is not installed (pip install nasgauge)"
        raise UnknownName(f"unknown {kind} {name!r}; choose from {names}{hint}")
    point, *others = known[name]
    if others:
        claims = " and ".join(f"{_package(claim)} ({claim.value})" for claim in known[name])
        raise NameClash(
            f"{kind} {name!r} is declared by {len(known[name])} packages: {claims}; "
            "uninstall all but one, or rename the entry point"
        )
    try:
        return point.load()
    except (Exception, SystemExit) as error:  # a package may raise anything while it is imported
        raise PluginFailed(
            f"{kind} {name} of package {_package(point)} cannot be imported from {point.value} "
            f"({type(error).__name__}: {error}); repair or uninstall that package"
        ) from error


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist else "an unknown package"
