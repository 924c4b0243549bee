"""How slow a searcher is: its seconds for each query, over those of random search beside it.

Timings on a shared machine are noisy, so both make the same number of queries, in turns, several times, and
the least time counts. Time is CPU time, which other processes do not affect; only where the searcher waited (it
slept, or waited for a disk or a device) it is wall time.
"""

import sys
import time
from typing import Final

from nasgauge.harness.search.oracle import Table
from nasgauge.harness.search.specs import Spec
from nasgauge.harness.search.units import generators

_TURNS: Final = 4
_ENOUGH: Final = 1.0  # seconds, after which no further turn is begun


def pace(spec: Spec, oracle: Table, seed: int, queries: int) -> float:
    """Seconds of a search with `seed` over those of random search, on this machine, now.

    Whatever the searcher raises is raised.
    """
    start = time.perf_counter()
    random = Spec.of("random")
    ours: list[float] = []
    theirs: list[float] = []
    while len(ours) < _TURNS and (not ours or time.perf_counter() - start < _ENOUGH):
        ours.append(_seconds(spec, oracle, seed, queries))
        theirs.append(_seconds(random, oracle, seed, queries))
    return min(ours) / min(theirs)


def _seconds(spec: Spec, oracle: Table, seed: int, queries: int) -> float:
    """Seconds for each query of a search that is not recorded."""
    searcher_rng, oracle_rng = generators(seed)
    searcher = spec.make(oracle.space, searcher_rng, dataset=oracle.searched)
    evaluate, done = oracle.for_run(oracle_rng).evaluate, 0
    recommend = getattr(searcher, "recommend", None)
    waits, wall, processor = _waits(), time.perf_counter(), time.process_time()
    while done < queries:
        batch = searcher.ask()
        if not batch:
            break
        for cell in batch[: queries - done]:
            searcher.tell(cell, evaluate(cell).validation)
            if recommend is not None:
                recommend()
            done += 1
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    return (wall if _waits() != waits else processor) / max(done, 1)


def _waits() -> float:
    """How often this thread gave up the processor of its own will; unknown (NaN) but on Linux."""
    if sys.platform != "linux":
        return float("nan")
    import resource

    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
