"""What searchers that wrap another package share."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


@contextmanager
def global_generators_restored() -> Iterator[None]:
    """Leave the global generators as they were: some packages draw from them when they are imported or set up.

    >>> random.seed(0)
    >>> with global_generators_restored():
    ...     _ = random.random()
    >>> round(random.random(), 3)
    0.844
    """
    before, numpy_before = random.getstate(), np.random.get_state()  # noqa: NPY002 - only kept
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(numpy_before)  # noqa: NPY002 - only put back
