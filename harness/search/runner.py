"""One search: ask, evaluate, yield, tell, until the budget is spent.

This loop is the one gate between truth and searcher: a searcher is told validation accuracy alone.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeVar

from nasgauge.harness.records.steps import Evaluation, Step
from nasgauge.spaces.errors import NasgaugeError

C = TypeVar("C")
C_contra = TypeVar("C_contra", contravariant=True)

Repeats = Literal["charge", "free"]
Clock = Literal["queries", "epochs", "seconds"]

CLOCKS: Final[tuple[Clock, ...]] = ("queries", "epochs", "seconds")
STALL: Final = 10_000
"""Free repeats in a row after which a run ends: the searcher asks for nothing new."""


class Searcher(Protocol[C]):
    """How to choose cells: two verbs."""

    def ask(self) -> Sequence[C]:
        """The next cells to evaluate; none when the search is over."""
        ...

    def tell(self, cell: C, accuracy: float) -> None:
        """The validation accuracy of a cell that was asked for, in percent, in the order asked."""
        ...


class Oracle(Protocol[C_contra]):
    """Who knows how good a cell is."""

    def evaluate(self, cell: C_contra) -> Evaluation:
        """Look a cell up, or train it."""
        ...


class InvalidBudget(NasgaugeError, ValueError):
    """A budget that nothing can be bought with, or that the oracle cannot measure."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How much a run may spend on one of the benchmark's clocks.

    >>> str(Budget.parse("200")), str(Budget.parse("12000s")), str(Budget.parse("1200 epochs"))
    ('200 queries', '12000 seconds', '1200 epochs')
    """

    amount: float
    clock: Clock = "queries"

    def __post_init__(self) -> None:
        if self.clock not in CLOCKS:
            raise InvalidBudget(f"unknown clock {self.clock!r}; choose from {', '.join(CLOCKS)}")
        if not (math.isfinite(self.amount) and self.amount > 0):
            raise InvalidBudget(
                f"a budget of {self.amount:g} {self.clock} buys nothing; give a positive number"
            )

    @classmethod
    def parse(cls, text: str) -> "Budget":
        """Read a number with an optional unit: `200`, `200 queries`, `1200 epochs`, `12000 seconds`, `12000s`.

        Raises InvalidBudget.
        """
        stripped = text.strip()
        number = stripped.rstrip("abcdefghijklmnopqrstuvwxyz ")
        unit = stripped[len(number) :].strip()
        clock = next(
            (clock for clock in CLOCKS if unit and clock.startswith(unit)), "queries" if not unit else None
        )
        try:
            amount = float(number)
        except ValueError:
            clock = None
            amount = math.nan
        if clock is None:
            raise InvalidBudget(
                f"budget {text!r} is not understood; write 200 (queries), 1200 epochs or 12000 seconds"
            )
        return cls(amount, clock)

    def __str__(self) -> str:
        return f"{self.amount:g} {self.clock}"


def run(
    searcher: Searcher[C],
    oracle: Oracle[C],
    budget: Budget,
    *,
    repeats: Repeats = "charge",
    canonical: Callable[[C], str] | None = None,
) -> Iterator[Step[C]]:
    """Search until the budget is spent or the searcher asks for nothing more.

    A query that would overrun the budget ends the run and is not counted (the rule of the
    NAS-Bench-201 paper's baselines). An oracle to which a query is work says with `epochs` what any query
    costs; one that would overrun is then not made at all.

    With `repeats="charge"` every query costs, also one that was made before. With `free`, a query of a
    cell whose `canonical` text was seen in this run costs nothing and is answered with the figures of the
    first; a run then also ends after `STALL` free queries in a row.

    A searcher may also have `recommend() -> cell | None`: after every query it is asked which evaluated cell
    it would give as its answer, which the step records; None is the cell with the best signal. And it may
    have `least`, a number of queries below which it cannot work.

    Raises InvalidBudget if the oracle does not know what a query costs on the budget's clock, or if the
    budget is below the searcher's `least`, or below one query.
    """
    seen: dict[str, Evaluation] | None = {} if repeats == "free" else None
    structure: Callable[[C], str] = canonical or str
    clock = time.perf_counter
    spent, idle, overhead = 0.0, 0, 0.0
    recommend: Callable[[], C | None] | None = getattr(searcher, "recommend", None)
    least: int = getattr(searcher, "least", 0)
    if budget.clock == "queries" and budget.amount < least:
        raise InvalidBudget(
            f"a budget of {budget} is less than the {least} queries that this searcher makes before it "
            "chooses any; give a larger budget"
        )
    last = left_for_one(oracle, budget)  # beyond it a query would overrun: it is not made
    while True:
        start = clock()
        batch = searcher.ask()
        overhead += clock() - start
        if not batch:
            return
        for cell in batch:
            text = "" if seen is None else structure(cell)
            charged = seen is None or text not in seen
            if charged:
                if spent > last:
                    return
                evaluation = oracle.evaluate(cell)
                if seen is not None:
                    seen[text] = evaluation
                spent += cost(evaluation, budget.clock)
                idle = 0
                if spent > budget.amount:
                    return
            else:
                assert seen is not None  # nothing is free otherwise
                evaluation = seen[text]
                idle += 1
                if idle > STALL:
                    return
            start = clock()
            searcher.tell(cell, evaluation[0])
            answer = recommend() if recommend is not None else None
            overhead += clock() - start
            yield Step(cell, evaluation, charged, overhead, answer)
            overhead = 0.0


def left_for_one(oracle: Oracle[C], budget: Budget) -> float:
    """How much of a budget may be spent when a query is made, as far as its cost is known before.

    Raises InvalidBudget if not even one can be made.
    """
    epochs = float(getattr(oracle, "epochs", 0.0))
    left = budget.amount - {"queries": 1.0, "epochs": epochs}.get(budget.clock, 0.0)
    if left < 0:
        price = f" of {epochs:g} epochs" if budget.clock == "epochs" else ""
        raise InvalidBudget(f"a budget of {budget} does not pay for one query{price}; give a larger budget")
    return left


def cost(evaluation: Evaluation, clock: Clock) -> float:
    """What a query costs on a clock.

    Raises InvalidBudget if the oracle does not say.
    """
    if clock == "queries":
        return 1.0
    value = evaluation.epochs if clock == "epochs" else evaluation.seconds
    if math.isnan(value):
        raise InvalidBudget(
            f"this table does not say what a query costs in {clock}; give the budget in queries"
        )
    return value
