"""Golden trajectories: the first cells of a seed on the kit's landscape, compared exactly.

They show at once, without statistics, that a searcher behaves differently than before; the gate says whether it is
worse. A change that is meant to alter a searcher needs a new golden trajectory.
"""

import json
from pathlib import Path
from typing import Final

import numpy as np

from nasgauge.conformance.landscape import Landscape
from nasgauge.conformance.laws import cells_of
from nasgauge.conformance.trial import DATASET
from nasgauge.data.atomic import replacing
from nasgauge.harness.search.runner import Budget, run
from nasgauge.harness.search.specs import Searchable, Spec
from nasgauge.spaces.errors import NasgaugeError
from nasgauge.spaces.nb201 import NB201

FORMAT: Final = 1
LENGTH: Final = 100
"""Cells of a trajectory, unless the searcher begins with half as many or more."""
SEED: Final = 0
_BEGINNINGS: Final = ("population", "initial", "startup")
"""Options that say how many cells are evaluated before the search depends on any accuracy."""


class BadGolden(NasgaugeError, ValueError):
    """A file that holds no golden trajectories."""


def trajectory(searcher: Searchable, length: int | None = None) -> list[str]:
    """The first cells of `SEED`, `length` of them.

    By default `LENGTH`, or twice the cells that the searcher evaluates before it learns anything (its `least`, and
    the options `population`, `initial` and `startup`), if that is more. A searcher that stops earlier has fewer.

    Raises UnknownSearcher, InvalidOption; BadGolden for a length below 1.

    >>> trajectory("random") == trajectory("random"), len(trajectory("random"))
    (True, 100)
    >>> len(trajectory("evolution:population=80"))
    160
    """
    spec = Spec.of(searcher)
    made = spec.make(NB201(), np.random.default_rng(SEED), dataset=DATASET)
    if length is None:
        options = spec.settings()
        blind = [int(options.get(name, 0)) for name in _BEGINNINGS] + [getattr(made, "least", 0)]
        length = max(LENGTH, 2 * max(blind))
    if length < 1:
        raise BadGolden(f"a trajectory of {length} cells shows nothing; give a length of at least 1")
    return cells_of(list(run(made, Landscape(), Budget(length))))


def moved(path: Path, searcher: Searchable, length: int | None = None) -> str:
    """The first difference from the golden trajectory, in one sentence; empty if there is none.

    `length` as for `trajectory`. Raises BadGolden if the file does not hold it, UnknownSearcher, InvalidOption.
    """
    stored, spec = _read(path), Spec.of(searcher)
    target = str(spec)
    if target not in stored:
        raise BadGolden(f"{path} holds no trajectory of {target}; store it with --nasgauge-update-golden")
    found = trajectory(spec, length)
    for place, (then, now) in enumerate(zip(stored[target], found, strict=False), 1):
        if then != now:
            return f"cell {place} of {target} was {then}, is {now}"
    if len(stored[target]) != len(found):
        return (
            f"the stored trajectory of {target} has {len(stored[target])} cells, this one {len(found)}; if another "
            "length was meant, store it with --nasgauge-update-golden"
        )
    return ""


def store(path: Path, searcher: Searchable, length: int | None = None) -> None:
    """Store a searcher's trajectory in the file, beside the others; `length` as for `trajectory`.

    Raises BadGolden for a file there that is another, UnknownSearcher, InvalidOption.
    """
    stored = _read(path) if path.exists() else {}
    spec = Spec.of(searcher)
    stored[str(spec)] = trajectory(spec, length)
    content = {"format": FORMAT, "seed": SEED, "cells": dict(sorted(stored.items()))}
    with replacing(path) as file:
        file.write(json.dumps(content, indent=1).encode() + b"\n")


def _read(path: Path) -> dict[str, list[str]]:
    try:
        content = json.loads(path.read_bytes())
        if (content["format"], content["seed"]) != (FORMAT, SEED):
            raise BadGolden(f"{path} has another format; remove it and store the trajectories again")
        return {str(target): [str(cell) for cell in cells] for target, cells in content["cells"].items()}
    except FileNotFoundError:
        raise BadGolden(f"there is no file {path}; make it with --nasgauge-update-golden") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, BadGolden):
            raise
        raise BadGolden(
            f"{path} holds no golden trajectories ({error}); remove it and store them again"
        ) from error
