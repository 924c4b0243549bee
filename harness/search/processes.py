"""Processes that searches run in: where they look for modules."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_SAFE_PATH: Final = "PYTHONSAFEPATH"


@contextmanager
def installed_modules_first() -> Iterator[None]:
    """Meanwhile, processes that are started do not look for modules in the current folder first.

    Otherwise a `json.py` there would be imported by every worker instead of Python's own.

    >>> with installed_modules_first():
    ...     os.environ["PYTHONSAFEPATH"]
    '1'
    """
    before = os.environ.get(_SAFE_PATH)
    os.environ[_SAFE_PATH] = "1"
    try:
        yield
    finally:
        del os.environ[_SAFE_PATH]
        if before is not None:
            os.environ[_SAFE_PATH] = before
