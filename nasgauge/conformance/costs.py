"""The law of searchers that minimise costs beside accuracy (`nasgauge.searchers.aims.CostSearcher`)."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nasgauge.conformance.landscape import Landscape
from nasgauge.conformance.trial import Broken, Trial, Watched, compare
from nasgauge.harness.records.steps import Step
from nasgauge.harness.search.runner import Budget, run
from nasgauge.searchers.aims import Aimed, CostSearcher
from nasgauge.spaces.cells import N_CELLS, Cell

Array = NDArray[np.float64]

LAW: Final = "costs"
VERBS: Final = ("minimise", "tell_costs")


def costs(trial: Trial, base: Sequence[Step[Cell]]) -> None:  # noqa: ARG001 - one signature for all laws
    """Raises Broken if a searcher has one of the two verbs, or if a search with one or two costs breaks a law."""
    searcher = trial.make()
    has = [verb for verb in VERBS if hasattr(searcher, verb)]
    if len(has) == 1:
        raise Broken(LAW, f"it has {has[0]}, and no {next(verb for verb in VERBS if verb not in has)}")
    if not isinstance(searcher, CostSearcher):
        return
    for count in (1, 2):
        figures = np.random.default_rng(0).random((N_CELLS, count))
        figures[::7] = np.inf  # cells without a figure
        how = f"with {count} cost{'s' * (count > 1)}"
        first = _cells(trial, figures, how)
        if not first:
            raise Broken(LAW, f"{how} the first ask returned nothing")
        compare(LAW, first, _cells(trial, figures, how), f"{how} once more")
        asked = np.zeros(N_CELLS, dtype=bool)
        asked[[cell.rank for cell in first]] = True
        other = np.where(asked[:, None], figures, 2 * figures)
        compare(LAW, first, _cells(trial, other, how), f"{how}, all but those of its cells changed,")


def _cells(trial: Trial, figures: Array, how: str) -> list[Cell]:
    try:
        aimed: Aimed[Cell] = Aimed(Watched(trial, trial.make()), np.ones(N_CELLS, dtype=bool), figures)
        return [step.cell for step in run(aimed, Landscape(), Budget(trial.queries))]
    except Broken as broken:
        raise Broken(LAW, f"{how}: {broken.evidence}") from broken
