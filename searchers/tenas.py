"""TE-NAS as a searcher: a search that was made before, and the cell it ended in (Chen et al., 2021).

The search itself is `nasgauge.searchers.pruning`; it takes minutes, so a benchmark of many seeds replays searches that
ship with the package.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, Final, Generic, NamedTuple, TypeVar

import numpy as np

from nasgauge.searchers.pruning import Search, Settings, cell_of
from nasgauge.spaces.cells import OPERATIONS, Cell
from nasgauge.spaces.nb201 import Space

C = TypeVar("C")


class StoredSearch(NamedTuple):
    """A search that was made before, as the package keeps it."""

    preset: str
    seed: int
    cell: str
    seconds: float
    rounds: tuple[Mapping[str, Any], ...]


_STORED: Final = Path(__file__).with_name("tenas-paper.json")


def to_json(searches: Mapping[int, Search], preset: str, settings: Settings, **about: object) -> str:
    """Searches by seed as text, with what is known about them: `stored` reads such files."""
    return json.dumps(
        {
            "stored": "made before; made again by: nasgauge score tenas",
            **about,
            "preset": preset,
            "settings": asdict(settings),
            "searches": [
                {
                    "seed": seed,
                    "cell": str(cell_of(search.choices)),
                    "seconds": round(search.seconds, 1),
                    "rounds": [asdict(step) for step in search.rounds],
                }
                for seed, search in sorted(searches.items())
            ],
        },
        indent=1,
    )


@cache
def stored() -> tuple[StoredSearch, ...]:
    """The searches that ship with the package, by seed."""
    kept = json.loads(_STORED.read_text(encoding="utf-8"))
    return tuple(
        StoredSearch(kept["preset"], one["seed"], one["cell"], one["seconds"], tuple(one["rounds"]))
        for one in kept["searches"]
    )


class TENAS(Generic[C]):
    """A finished TE-NAS search as a searcher: it asks for the cell that the search ended in, and stops.

    The search is drawn from those that ship with the package, which were made before on CIFAR-10 images
    (`nasgauge score tenas` makes new ones); what it cost then is in `search.seconds`.
    """

    def __init__(self, space: Space[C], rng: np.random.Generator) -> None:
        self.space = space
        self.rng = rng
        self.search: StoredSearch | None = None

    def ask(self) -> list[C]:
        """The cell of one stored search, once."""
        if self.search is not None:
            return []
        searches = stored()
        self.search = searches[int(self.rng.integers(len(searches)))]
        operations = Cell.parse(self.search.cell).ops
        return [self.space.decide(tuple(OPERATIONS.index(operation) for operation in operations))]

    def tell(self, cell: C, accuracy: float) -> None:
        """Nothing is learnt: the search is over."""
