"""Searchers, proxies and tables by name: what installed packages, this one included, declare as entry points."""

import importlib.metadata
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint
from types import MappingProxyType
from typing import Any, Final, Literal

from nasgauge.spaces.errors import NasgaugeError

Group = Literal["nasgauge.searchers", "nasgauge.proxies", "nasgauge.tables"]

KINDS: Final[Mapping[Group, str]] = MappingProxyType(
    {"nasgauge.searchers": "searcher", "nasgauge.proxies": "proxy", "nasgauge.tables": "table"}
)


class NameClash(NasgaugeError, ValueError):
    """Two installed packages declare the same name."""


class UnknownName(NasgaugeError, LookupError):
    """A name that no installed package declares."""


class PluginFailed(NasgaugeError, ImportError):
    """An entry point whose object cannot be imported."""


@cache
def declared(group: Group) -> Mapping[str, EntryPoint]:
    """Every declared name of a group, sorted, with its entry point; nothing is imported.

    Raises NameClash if two packages declare one name.
    """
    found: dict[str, EntryPoint] = {}
    for point in sorted(importlib.metadata.entry_points(group=group), key=lambda point: point.name):
        other = found.setdefault(point.name, point)
        if (other.value, _package(other)) != (point.value, _package(point)):
            raise NameClash(
                f"{KINDS[group]} {point.name!r} is declared by two packages, {_package(other)} ({other.value}) and "
                f"{_package(point)} ({point.value}); uninstall one, or rename the entry point in one"
            )
    return MappingProxyType(found)


def load(group: Group, name: str) -> Any:
    """The object that a name stands for.

    Raises UnknownName, NameClash; PluginFailed if its package cannot be imported.
    """
    known = declared(group)
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UnknownName(f"unknown {KINDS[group]} {name!r}; choose from {', '.join(known)}{hint}")
    try:
        return known[name].load()
    except Exception as error:  # a plugin may raise anything while it is imported
        raise PluginFailed(
            f"{KINDS[group]} {name} of package {_package(known[name])} cannot be loaded from {known[name].value} "
            f"({type(error).__name__}: {error}); mend or uninstall that package"
        ) from error


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist else "an unknown package"
