"""Where searchers are found: by the name that a package declares, or by the place of their class."""

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter
from typing import Protocol

from nasgauge.data.plugins import load
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.errors import NasgaugeError
from nasgauge.spaces.fidelities import LengthSearcher


class UnknownSearcher(NasgaugeError, LookupError):
    """A name, a place or an object that stands for no searcher, or that cannot be imported."""


class CellSearcher(Protocol):
    """A searcher of NAS-Bench-201 cells."""

    def ask(self) -> Sequence[Cell]:
        """The next cells to evaluate; none when the search is over."""
        ...

    def tell(self, cell: Cell, accuracy: float) -> None:
        """The validation accuracy of a cell that was asked for, in percent."""
        ...


Factory = Callable[..., CellSearcher | LengthSearcher[Cell]]
"""A searcher's class, or a `functools.partial` of one."""


class Folders(tuple[str, ...]):
    """Folders that modules are imported from.

    Wherever it is unpickled it appends to `sys.path` those that are missing there.
    """

    def __reduce__(self) -> tuple[Callable[[tuple[str, ...]], "Folders"], tuple[tuple[str, ...]]]:
        return _on_the_path, (tuple(self),)


def _on_the_path(folders: Sequence[str]) -> Folders:
    """Append folders to `sys.path`: last, so that nothing in them shadows an installed package."""
    sys.path.extend(folder for folder in folders if folder not in sys.path)
    return Folders(folders)


def import_folders() -> Folders:
    """The folders that this process imports from."""
    return Folders(dict.fromkeys(os.path.abspath(entry) for entry in sys.path))


def named(name: str) -> object:
    """The object that an installed package declares."""
    try:
        return load("nasgauge.searchers", name)
    except NasgaugeError as error:
        raise UnknownSearcher(str(error)) from error


def at_place(place: str) -> object:
    """The object at `module:Class`."""
    module, _, name = place.partition(":")
    _on_the_path([os.getcwd()])
    try:
        return attrgetter(name)(importlib.import_module(module))
    except (Exception, SystemExit) as error:  # a module may raise anything while it is imported
        raise UnknownSearcher(
            f"there is no searcher {place} ({type(error).__name__}: {error}); write module:Class, the module "
            "installed or in the current folder, and options as name:option=value"
        ) from error


def checked(name: str, found: object) -> Factory:
    """The object itself if it is a searcher's class, or a `functools.partial` of one; nothing is called."""
    searcher = found.func if isinstance(found, partial) else found
    if not isinstance(searcher, type):
        raise UnknownSearcher(
            f"{name} is no searcher: it is a {type(searcher).__name__}, not a class with ask and tell"
        )
    missing = [verb for verb in ("ask", "tell") if not callable(getattr(searcher, verb, None))]
    if missing:
        raise UnknownSearcher(
            f"{name} is no searcher: it has no {' and no '.join(missing)}; write ask(self) and "
            "tell(self, cell, accuracy)"
        )
    assert callable(found)  # a class, or a partial
    try:
        inspect.signature(found).bind(None, None)
    except (TypeError, ValueError) as error:
        raise UnknownSearcher(
            f"{name} is no searcher: it is not made from a space and a generator ({error}); "
            "write __init__(self, space, rng, *, option=value)"
        ) from error
    return found
