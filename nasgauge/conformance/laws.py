"""Each law, tested on a searcher in this process.

A law is a function that tests one and raises `Broken` with the evidence; `LAWS` lists all of them, also
those that need a second process (see `nasgauge.conformance.check`).
"""

import os
import signal
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import joblib

from nasgauge.conformance.costs import costs
from nasgauge.conformance.landscape import Landscape
from nasgauge.conformance.trial import Broken, Trial, Watched, compare
from nasgauge.data.atomic import replacing
from nasgauge.harness.records.steps import Step
from nasgauge.harness.search.runner import Budget, run
from nasgauge.harness.search.specs import CellSearcher
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.fidelities import At

LAWS: Final = MappingProxyType(
    {
        "runs": "is made from a space and a generator, asks for cells, and does not raise",
        "valid cells": "asks for sequences of cells of the space, and for nothing else",
        "same seed": "makes the same search from the same seed, twice in one process",
        "any process": "makes the same search in any process, under any hash seed",
        "no global generator": "draws only from the generator that it was given",
        "batches": "survives results that come in batches of any size",
        "budget": "evaluates nothing that its budget does not pay for, and does not know the budget",
        "validation only": "sees only the validation accuracies of the cells that it asked for",
        "costs": "minimises one cost or two beside accuracy in the same way, if it has `minimise` and `tell_costs`",
        "fidelities": "asks for trainings only of the lengths that it was given, if it asks for lengths at all",
        "picklable": "can be pickled in the middle of a search and goes on alike",
        "resume": "goes on alike in another process after it was killed",
    }
)
"""All laws, by name, in the order of testing."""

BATCHES: Final = (1, 2, 7, 64)
FIDELITIES: Final = ((12, 200), (4, 9, 30), (1, 2, 3, 4, 108))
"""Training lengths that a multi-fidelity searcher is given, beside every epoch of a learning curve."""


def search(trial: Trial, landscape: Landscape, queries: int) -> list[Step[Cell]]:
    """A plain run of a new searcher."""
    return list(run(Watched(trial, trial.make()), landscape, Budget(queries)))


def cells_of(steps: Sequence[Step[Cell]]) -> list[str]:
    """What was asked for, as text."""
    return [_text(step.cell) for step in steps]


def _text(asked: object) -> str:
    return f"{asked.cell} after {asked.epochs} epochs" if isinstance(asked, At) else str(asked)


def runs(trial: Trial) -> list[Step[Cell]]:
    """A plain run, which the other laws compare with.

    Raises Broken.
    """
    steps = search(trial, Landscape(), trial.queries)
    if not steps:
        raise Broken("runs", "the first ask returned nothing, so there is no search")
    return steps


def same_seed(trial: Trial, base: Sequence[Step[Cell]]) -> None:
    """Raises Broken if a second run differs."""
    compare("same seed", cells_of(base), cells_of(search(trial, Landscape(), trial.queries)), "once more")


def batches(trial: Trial, base: Sequence[Step[Cell]]) -> None:  # noqa: ARG001 - one signature for all laws
    """Raises Broken if a searcher whose results come late raises or asks for something invalid."""
    for size in BATCHES:
        try:
            _in_batches(Watched(trial, trial.make()), size, trial.queries)
        except Broken as broken:
            raise Broken("batches", f"given {size} results at a time: {broken.evidence}") from broken


def _in_batches(searcher: Watched, size: int, queries: int) -> None:
    landscape, told = Landscape(), 0
    while told < queries:
        waiting: list[Cell] = []
        while len(waiting) < size:
            batch = searcher.ask()
            if not batch:  # it waits for results, or it is done
                break
            waiting += batch
        if not waiting:
            return
        for cell in waiting[:queries]:
            searcher.tell(cell, landscape.evaluate(cell).validation)
        told += len(waiting)


def budget(trial: Trial, base: Sequence[Step[Cell]]) -> None:
    """Raises Broken if more is evaluated than was paid for, or if another budget makes another beginning."""
    for queries in sorted({1, min(7, trial.queries), max(1, trial.queries // 2), trial.queries}):
        landscape = Landscape()
        steps = search(trial, landscape, queries)
        overrun = 1  # the query that finds the budget spent
        if landscape.queries > len(steps) + overrun:
            raise Broken(
                "budget",
                f"{landscape.queries} cells were evaluated in a run that paid for {len(steps)} queries",
            )
        compare("budget", cells_of(base)[: len(steps)], cells_of(steps), f"with a budget of {queries}")
        if len(steps) < min(queries, len(base)):
            raise Broken(
                "budget", f"it stopped after {len(steps)} of {queries} queries, and not with a larger budget"
            )


def validation_only(trial: Trial, base: Sequence[Step[Cell]]) -> None:
    """Raises Broken if it reads a file, or if accuracies that it should not see change the search."""
    other = Landscape(known={step.cell for step in base})
    compare(
        "validation only",
        cells_of(base),
        cells_of(search(trial, other, trial.queries)),
        "with the same validation accuracies and all other figures changed",
    )
    if trial.read:
        raise Broken("validation only", f"{trial.read[0]}, which holds more than validation accuracies")


def fidelities(trial: Trial, base: Sequence[Step[Cell]]) -> None:  # noqa: ARG001 - one signature for all laws
    """Raises Broken if a multi-fidelity searcher asks for lengths that it was not given, whichever these are."""
    if not trial.spec.asks_epochs:
        return
    given = trial.fidelities
    try:
        for trial.fidelities in FIDELITIES:
            if not search(trial, Landscape(), trial.queries):
                raise Broken("fidelities", f"given {list(trial.fidelities)}, it asks for nothing")
    finally:
        trial.fidelities = given


def picklable(trial: Trial, base: Sequence[Step[Cell]]) -> None:
    """Raises Broken if a copy through pickle does not go on alike."""
    half = len(base) // 2
    searcher = trial.make()
    cells, waiting = advance(trial, searcher, half, [])
    copy, waiting = _pickled(lambda: joblib.load(_written((searcher, waiting))))
    cells += advance(trial, copy, len(base) - half, waiting)[0]
    compare("picklable", cells_of(base), cells, f"pickled after {half} queries")


def interrupted(trial: Trial, queries: int, checkpoint: Path) -> None:
    """Search, save the searcher after `queries`, and die by SIGKILL in the middle of the next move."""
    searcher = trial.make()
    cells, waiting = advance(trial, searcher, queries, [])
    content = _pickled(lambda: _written((searcher, cells, waiting)).getvalue())
    with replacing(checkpoint) as file:
        file.write(content)
    advance(trial, searcher, 1, waiting)
    os.kill(os.getpid(), signal.SIGKILL)


def resumed(trial: Trial, queries: int, checkpoint: Path) -> list[str]:
    """Go on from a checkpoint of `interrupted`, up to `queries` in all; the cells of the whole run."""
    searcher, cells, waiting = _pickled(lambda: joblib.load(checkpoint))
    return [*cells, *advance(trial, searcher, queries - len(cells), waiting)[0]]


def advance(
    trial: Trial, searcher: CellSearcher, queries: int, waiting: Sequence[Cell]
) -> tuple[list[str], list[Cell]]:
    """Continue a search: the evaluated cells, and those asked for but not evaluated yet."""
    watched, landscape = Watched(trial, searcher), Landscape()
    cells: list[str] = []
    waiting = list(waiting)
    while len(cells) < queries:
        waiting = waiting or list(watched.ask())
        if not waiting:
            break
        cell = waiting.pop(0)
        watched.tell(cell, landscape.evaluate(cell).validation)
        cells.append(_text(cell))
    return cells, waiting


IN_ONE_PROCESS: Final[tuple[tuple[str, Callable[[Trial, Sequence[Step[Cell]]], None]], ...]] = (
    ("same seed", same_seed),
    ("batches", batches),
    ("budget", budget),
    ("validation only", validation_only),
    ("costs", costs),
    ("fidelities", fidelities),
    ("picklable", picklable),
)


def _pickled(action: Callable[[], Any]) -> Any:
    """A checkpoint, written or read: its pickle is our own, made a moment ago in the same trial."""
    try:
        return action()
    except Exception as error:  # whatever a foreign class raises when it is pickled
        raise Broken("picklable", f"it cannot be pickled: {type(error).__name__}: {error}") from error


def _written(value: object) -> BytesIO:
    file = BytesIO()
    joblib.dump(value, file)
    file.seek(0)
    return file
