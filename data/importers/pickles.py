"""Pickles, read with a list of allowed names."""

import pickle
from collections.abc import Mapping
from typing import IO, Any

from nasgauge.spaces.errors import NasgaugeError


class ImportFailed(NasgaugeError, ValueError):
    """A file that is not what is expected, or is missing."""


class Record:
    """Stands in for a plain class of a foreign file: attributes without behaviour."""


def permitted(allowed: Mapping[tuple[str, str], Any], module: str, name: str) -> Any:
    """What a pickle may name, from the list of what it may.

    Raises ImportFailed for anything else.
    """
    try:
        return allowed[module, name]
    except KeyError:
        raise ImportFailed(
            f"it asks for {module}.{name}, which no such file needs; it is not opened"
        ) from None


class _Whitelist(pickle.Unpickler):
    def __init__(self, file: IO[bytes], allowed: Mapping[tuple[str, str], Any], encoding: str) -> None:
        super().__init__(file, encoding=encoding)
        self._allowed = allowed

    def find_class(self, module: str, name: str) -> Any:
        return permitted(self._allowed, module, name)


def unpickle(file: IO[bytes], allowed: Mapping[tuple[str, str], Any], *, encoding: str = "ASCII") -> Any:
    """Read a pickle in which only `allowed` (module, name) pairs may be named.

    `encoding` is how the texts of Python 2 are read.

    Raises ImportFailed for any other class and for a file that is no whole pickle.
    """
    try:
        return _Whitelist(file, allowed, encoding).load()
    except ImportFailed:
        raise
    except Exception as error:  # a malformed pickle raises nearly anything
        raise ImportFailed(f"it does not read as a pickle: {error}") from error
