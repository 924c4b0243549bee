"""What can be run by name: searchers and proxies, with options, defaults and meanings, from their own code.

Meanings are those of the section `Parameters` of a class's docstring, in the layout of numpydoc:

    Parameters
    ----------
    population
        Cells that are alive.
"""

import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from nasgauge.data.plugins import Group, declared, load
from nasgauge.harness.search.specs import Option, Spec
from nasgauge.spaces.errors import NasgaugeError

_SECTION: Final = "Parameters"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A searcher or a proxy."""

    name: str
    about: str
    """What it does, in one line; why it cannot be loaded, if it cannot."""
    source: str
    """The package that declares it, and where it is; and its paper, as its module says."""
    options: dict[str, Option]
    """Defaults."""
    meanings: dict[str, str]
    """Of the options that its docstring explains."""


def searchers() -> Iterator[Entry]:
    """All declared searchers, in order of their names.

    >>> next(entry for entry in searchers() if entry.name == "evolution").options
    {'population': 10, 'tournament': 10}
    """
    for name in declared("nasgauge.searchers"):
        try:
            spec = Spec.of(name)
        except NasgaugeError as error:
            yield _broken("nasgauge.searchers", name, error)
        else:
            yield _entry(spec, _declared_at("nasgauge.searchers", name))


def searcher(text: str) -> Entry:
    """A searcher by name, or by place as `module:Class`.

    Raises UnknownSearcher, InvalidOption.
    """
    spec = Spec.of(text)
    known = spec.name in declared("nasgauge.searchers")
    return _entry(spec, _declared_at("nasgauge.searchers", spec.name) if known else spec.name)


def proxies() -> Iterator[Entry]:
    """All declared proxies, in order of their names."""
    for name in declared("nasgauge.proxies"):
        try:
            proxy = load("nasgauge.proxies", name)
        except NasgaugeError as error:
            yield _broken("nasgauge.proxies", name, error)
            continue
        about, _ = explained(proxy.function)
        sign = "" if proxy.higher_is_better else " Its sign is changed, so that higher is better."
        yield Entry(
            name=name,
            about=f"{about}{sign}",
            source=_declared_at("nasgauge.proxies", name),
            options={},
            meanings={},
        )


def explained(documented: object) -> tuple[str, dict[str, str]]:
    """The first paragraph of a docstring, and the meanings in its section `Parameters`.

    >>> def climb(rate):
    ...     '''Go up.
    ...
    ...     Parameters
    ...     ----------
    ...     rate
    ...         Steps a second.
    ...     '''
    >>> explained(climb)
    ('Go up.', {'rate': 'Steps a second.'})
    """
    lines = (inspect.getdoc(documented) or "").splitlines()
    about = " ".join(lines[: lines.index("") if "" in lines else len(lines)])
    meanings: dict[str, str] = {}
    if _SECTION in lines:
        name = ""
        for line in lines[lines.index(_SECTION) + 2 :]:
            if not line.strip():
                break
            if line[0].isspace():
                meanings[name] = f"{meanings[name]} {line.strip()}".strip()
            else:
                name = line.partition(":")[0].strip()
                meanings[name] = ""
    return about, meanings


def _entry(spec: Spec, source: str) -> Entry:
    found: Any = spec.factory.func if isinstance(spec.factory, partial) else spec.factory
    about, meanings = explained(found)
    module = sys.modules[found.__module__]
    paper = (inspect.getdoc(module) or "").partition("\n")[0]
    return Entry(
        name=spec.name,
        about=about,
        source=f"{source}. {paper}" if paper else source,
        options=spec.settings(),
        meanings=meanings,
    )


def _broken(group: Group, name: str, error: NasgaugeError) -> Entry:
    return Entry(name=name, about=str(error), source=_declared_at(group, name), options={}, meanings={})


def _declared_at(group: Group, name: str) -> str:
    points = declared(group)[name]
    return " and ".join(f"{point.dist.name if point.dist else 'unknown'}, {point.value}" for point in points)
