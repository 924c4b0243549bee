"""Golden trajectories: the first cells of a seed on the kit's landscape, compared exactly.

They say *that* a searcher moves otherwise than before, at once and without statistics; the gate says whether
it is worse for it. A change that is meant to move a searcher moves its golden trajectory too.
"""

import json
from pathlib import Path
from typing import Final

import numpy as np

from nasgauge.conformance.landscape import Landscape
from nasgauge.data.atomic import replacing
from nasgauge.harness.search.runner import Budget, run
from nasgauge.harness.search.specs import Spec
from nasgauge.spaces.nb201 import NB201

FORMAT: Final = 1
LENGTH: Final = 20
SEED: Final = 0


class BadGolden(ValueError):
    """A file that holds no golden trajectories."""


def trajectory(target: str) -> list[str]:
    """The first `LENGTH` cells of `SEED`.

    Raises UnknownSearcher, InvalidOption.

    >>> trajectory("random") == trajectory("random"), len(trajectory("random"))
    (True, 20)
    """
    searcher = Spec.parse(target).make(NB201(), np.random.default_rng(SEED))
    return [str(step.cell) for step in run(searcher, Landscape(), Budget(LENGTH))]


def moved(path: Path, target: str) -> str:
    """Where a searcher leaves its golden trajectory, in one sentence; empty if it keeps to it.

    Raises BadGolden if the file does not hold it, UnknownSearcher, InvalidOption.
    """
    stored = _read(path)
    if target not in stored:
        raise BadGolden(f"{path} holds no trajectory of {target}; store it with --nasgauge-update-golden")
    found = trajectory(target)
    for place, (then, now) in enumerate(zip(stored[target], found, strict=False), 1):
        if then != now:
            return f"cell {place} of {target} was {then}, is {now}"
    if len(stored[target]) != len(found):
        return f"{target} asked for {len(stored[target])} cells, asks for {len(found)}"
    return ""


def store(path: Path, target: str) -> None:
    """Put a searcher's trajectory into the file, beside the others.

    Raises BadGolden for a file there that is another, UnknownSearcher, InvalidOption.
    """
    stored = _read(path) if path.exists() else {}
    stored[target] = trajectory(target)
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
