"""Warm starts: the first queries of a search are the best cells by a zero-cost proxy, or of an earlier run."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Generic, Protocol, TypeVar

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

import nasgauge.harness
from nasgauge.harness.search.history import UnknownWarmStart, digest_of, past
from nasgauge.spaces.cells import all_cells
from nasgauge.spaces.ranks import last

C = TypeVar("C")

SCORES: Final = Path(*nasgauge.harness.__path__) / "proxies" / "scores.parquet"
"""The shipped scores. They are read here without PyTorch."""

_DRAWS: Final = ("repeat", "weights", "batch")
_OF_CLASSES: Final = "naswot"  # a proxy with the scores of one cell of each structural class


class _Searcher(Protocol[C]):
    def ask(self) -> Sequence[C]: ...

    def tell(self, cell: C, accuracy: float) -> None: ...


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores of a proxy, one draw of weights and images for each cell."""

    ranks_N: NDArray[np.intp]
    """`Cell.rank`, ascending."""
    values_N: NDArray[np.float64]
    """Higher is better; minus infinity where the proxy is undefined."""
    seconds_N: NDArray[np.float64]
    """Seconds of each evaluation."""

    @classmethod
    def of(cls, proxy: str) -> "Scores":
        """The shipped scores of a proxy.

        Raises UnknownWarmStart.

        >>> len(Scores.of("naswot").ranks_N) >= 100
        True
        """
        return _shipped(proxy)


@cache
def _shipped(proxy: str) -> Scores:
    names = set(pq.read_schema(SCORES).names)
    filters = [("proxy", "==", proxy), *((draw, "==", 0) for draw in _DRAWS if draw in names)]
    table = pq.read_table(SCORES, columns=["rank", "value", "seconds"], filters=filters).sort_by("rank")
    if not len(table):
        known = pq.read_table(SCORES, columns=["proxy"])["proxy"].unique().to_pylist()
        raise UnknownWarmStart(
            f"no shipped scores of a proxy {proxy!r}; choose from {', '.join(sorted(known))}, or join several "
            "with + for the sum of their ranks"
        )
    ranks, values, seconds = (table[name].to_numpy() for name in table.column_names)
    if proxy != _OF_CLASSES:  # sizes are known of every cell; all pools are drawn from the same cells
        kept = np.isin(ranks, _shipped(_OF_CLASSES).ranks_N)
        ranks, values, seconds = ranks[kept], values[kept], seconds[kept]
    ranks, first = np.unique(ranks, return_index=True)
    return Scores(
        ranks.astype(np.intp), last(values.astype(np.float64))[first], seconds[first].astype(np.float64)
    )


class WarmStart(Generic[C]):
    """A searcher of NAS-Bench-201, or a part of it, that begins with the best cells by a proxy, or of an earlier run.

    The proxy scores `pool` cells, drawn from `rng` without replacement among the cells of the space that have shipped
    scores, which are the first of each structural class; all of these if there are fewer. The best `cells` of them are
    queried. The searcher is then told of these in ascending order of accuracy, before its first `ask`, and goes on from
    there. Such a cell is not queried again when the searcher first asks for it; it is told once more.

    `proxy` is the name of a proxy, or several joined with `+`, which are combined by the sum of their ranks. The
    seconds of scoring the whole pool are charged as `search_seconds`.

    `FOLDER@DATASET` in its place: of one run in a results folder on that dataset, drawn from `rng` among all runs of all
    searchers there, the `cells` with the highest search metric, and `pool` plays no part. All seconds of that run are charged
    as `search_seconds`; its queries are not counted. `source` is the digest that all runs there must have; empty for any.

    REINFORCE, Optuna's searchers and Nevergrad learn only from cells that they asked for; a warm start makes their queries
    and leaves their policy as it was.

    Raises UnknownWarmStart.

    >>> from nasgauge.searchers.evolution import Evolution
    >>> from nasgauge.spaces.nb201 import NB201
    >>> space, rng = NB201(), np.random.default_rng(0)
    >>> searcher = WarmStart(Evolution(space, rng), space, rng, proxy="kappa+regions", cells=3, pool=100)
    >>> len(searcher.ask()), searcher.search_seconds > 0
    (3, True)
    """

    def __init__(
        self,
        searcher: _Searcher[C],
        space: Any,
        rng: np.random.Generator,
        *,
        proxy: str,
        cells: int = 10,
        pool: int = 1000,
        allowed: NDArray[np.bool_] | None = None,
        source: str = "",
    ) -> None:
        self.source: str = digest_of(past(proxy)) if "@" in proxy else ""
        """SHA-256 of the earlier runs; empty for a proxy."""
        if source not in ("", self.source):
            raise UnknownWarmStart(
                f"the runs of {proxy} changed since (checksum {source[:12]}, now {self.source[:12]}); restore those "
                "runs, or begin again"
            )
        ranks, seconds = (_of_run if "@" in proxy else _of_pool)(space, rng, proxy, cells, pool, allowed)
        self.searcher = searcher
        self._first: list[Any] = [all_cells()[rank] for rank in ranks.tolist()]
        self._seconds = seconds
        self._asked = False
        self._known: dict[C, float] = {}
        self._waiting = len(self._first)
        self._due: deque[tuple[C, float | None]] = deque()  # asked for, with what is known of it
        self.least: int = getattr(searcher, "least", 0) + len(self._first)
        """Evaluations that it makes before it chooses any."""
        self.packages: tuple[str, ...] = getattr(searcher, "packages", ())
        """Those that the searcher uses."""

    def ask(self) -> list[C]:
        """The cells of the warm start; then what the searcher asks for."""
        if not self._asked:
            self._asked = True
            return list(self._first)
        while True:
            batch = self.searcher.ask()
            new = [(cell, None if self._waiting else self._known.pop(cell, None)) for cell in batch]
            self._due.extend(new)
            self._answer()
            fresh = [cell for cell, known in new if known is None]
            if fresh or not batch:
                return fresh

    def tell(self, cell: C, accuracy: float) -> None:
        """Keep the accuracy until the warm start is complete; then pass it to the searcher."""
        if self._waiting:
            self._waiting -= 1
            self._known[cell] = accuracy
            if not self._waiting:
                for known, value in sorted(self._known.items(), key=lambda pair: pair[1]):
                    self.searcher.tell(known, value)
            return
        self._due.popleft()
        self.searcher.tell(cell, accuracy)
        self._answer()

    def recommend(self) -> C | None:
        """The cell that the searcher recommends; None, the incumbent, during the warm start."""
        own = getattr(self.searcher, "recommend", None)
        found: C | None = None if own is None or self._waiting else own()
        return found

    @property
    def search_seconds(self) -> float:
        """Seconds of scoring the pool, or of the earlier run, from the first `ask` on, and those of the searcher."""
        return self._seconds * self._asked + float(getattr(self.searcher, "search_seconds", 0.0))

    def _answer(self) -> None:
        """Tell the searcher what it asked for and is known from the warm start."""
        while self._due and (known := self._due[0][1]) is not None:
            self.searcher.tell(self._due.popleft()[0], known)


def _of_pool(
    space: Any, rng: np.random.Generator, proxy: str, cells: int, pool: int, allowed: NDArray[np.bool_] | None
) -> tuple[NDArray[np.intp], float]:
    """`Cell.rank` of the best cells of a pool, and the seconds of scoring it."""
    scores = [Scores.of(name) for name in proxy.split("+")]
    scored = space.ranks if allowed is None else space.ranks[allowed[space.ranks]]
    for each in scores:
        scored = np.intersect1d(scored, each.ranks_N, assume_unique=True)
    if not 1 <= cells <= min(pool, len(scored)):
        raise UnknownWarmStart(
            f"warm_cells must be at least 1 and at most warm_pool and the {len(scored)} cells with scores of "
            f"{proxy}, not {cells} of {pool}"
        )
    drawn = rng.spawn(1)[0].choice(scored, min(pool, len(scored)), replace=False)
    places = [np.searchsorted(each.ranks_N, drawn) for each in scores]
    ranks = sum(_ranks(each.values_N[where]) for each, where in zip(scores, places, strict=True))
    best = np.argsort(-np.asarray(ranks), kind="stable")[:cells]
    seconds = sum(each.seconds_N[where].sum() for each, where in zip(scores, places, strict=True))
    return drawn[best], float(seconds)


def _of_run(
    space: Any, rng: np.random.Generator, text: str, cells: int, _pool: int, allowed: NDArray[np.bool_] | None
) -> tuple[NDArray[np.intp], float]:
    """`Cell.rank` of the best cells of a drawn run, and its seconds."""
    runs = past(text)
    run = runs[int(rng.spawn(1)[0].integers(len(runs)))]
    kept = run.ranks_N[np.isin(run.ranks_N, space.ranks)]
    kept = (kept if allowed is None else kept[allowed[kept]])[:cells]
    if not cells >= 1 or not len(kept):
        raise UnknownWarmStart(
            f"warm_cells must be at least 1, and a run of {text} have a cell that is allowed"
        )
    return kept, run.seconds


def _ranks(values_N: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 0, the worst; equal values share the lowest.

    >>> _ranks(np.array([3.0, 1.0, 3.0])).tolist()
    [1.0, 0.0, 1.0]
    """
    return np.searchsorted(np.sort(values_N), values_N).astype(np.float64)
