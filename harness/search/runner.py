"""One search run: ask, evaluate, tell, yield a step, until the budget is spent.

A searcher only sees validation accuracy: this loop is all that stands between an oracle and a searcher.
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
LARGEST: Final = 1e15
"""The largest amount of a budget, which its text still gives exactly."""
STALL: Final = 10_000
"""Free repeats in a row after which a run ends, because the searcher asks for nothing new."""


class Searcher(Protocol[C]):
    """An algorithm that chooses cells.

    Five more attributes are optional:

    - `recommend()` returns the evaluated cell that the searcher recommends, or None for the incumbent, the
      evaluated cell with the best search metric. It is called after every evaluation.
    - `least` is the number of queries below which the searcher cannot work.
    - `search_seconds` is the number of seconds that the search has cost so far apart from its queries, for a
      searcher whose own work is a relevant part of the cost, as measuring cells without training is. The runner
      charges what is new in it on the seconds clock, together with the next charged query. Other searchers'
      measured time is recorded (`Step.overhead`) and not charged.
    - `absent` is True of a searcher that may ask for nothing at all, as beyond its stored searches. The run is then
      absent; otherwise it is reported as failed.
    - `packages` are the names of packages, beside NumPy, on which its choices depend. Their versions are recorded.
    """

    def ask(self) -> Sequence[C]:
        """The next cells to evaluate; none when the search is over."""
        ...

    def tell(self, cell: C, accuracy: float) -> None:
        """The validation accuracy of a cell that was asked for, in percent, in the order asked."""
        ...


class Oracle(Protocol[C_contra]):
    """The source of accuracies: a table, or real training."""

    def evaluate(self, cell: C_contra) -> Evaluation:
        """Evaluate a cell: look it up, or train it."""
        ...


class InvalidQuery(NasgaugeError, TypeError):
    """An answer of a searcher that is no list of cells, or seconds of a search that shrink or are no number."""


class InvalidBudget(NasgaugeError, ValueError):
    """A budget that does not pay for one query, or on a clock on which the oracle has no costs."""


@dataclass(frozen=True, slots=True)
class Budget:
    """The cost that a run may reach, in queries, training epochs or simulated seconds.

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
        if self.amount > LARGEST:
            raise InvalidBudget(
                f"a budget of {self.amount:g} {self.clock} is too large; give at most {LARGEST:g}"
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
        return f"{self.amount:.15g} {self.clock}"


def run(
    searcher: Searcher[C],
    oracle: Oracle[C],
    budget: Budget,
    *,
    repeats: Repeats = "charge",
    canonical: Callable[[C], str] | None = None,
) -> Iterator[Step[C]]:
    """Search until the budget is spent or the searcher asks for nothing more.

    A query that would overrun the budget ends the run and is not counted, as in the baselines of Dong and Yang
    (2020). An oracle that trains states the cost of any query by `epochs`; a query that would overrun is then not
    made at all. A run may have no steps: the searcher asks for nothing, or the first query overruns.

    With `repeats="charge"` every query is charged, also of a cell evaluated before. With `free`, a query of a
    cell whose `canonical` text occurred in this run costs nothing and returns the first evaluation again; the run
    then also ends after `STALL` free queries in a row.

    The seconds of a step are those of the query and those of the search itself since the last charged query
    (`search_seconds` of the searcher).

    Raises InvalidBudget if the oracle has no costs on the budget's clock, if the budget is below the searcher's
    `least`, or if it does not pay for one query; InvalidQuery if `ask` returns no list of cells, or
    `search_seconds` shrinks or is not finite.
    """
    seen: dict[str, Evaluation] | None = {} if repeats == "free" else None
    structure: Callable[[C], str] = canonical or str
    clock = time.perf_counter
    spent, idle, overhead, booked = 0.0, 0, 0.0, 0.0
    recommend: Callable[[], C | None] | None = getattr(searcher, "recommend", None)
    check_least(searcher, budget)
    last = left_for_one(oracle, budget)  # beyond it a query would overrun: it is not made
    while True:
        start = clock()
        batch = searcher.ask()
        overhead += clock() - start
        if not batch:
            if batch is None:
                raise InvalidQuery(
                    "ask returned None; return a list of cells, an empty one to end the search"
                )
            return
        empty = True
        for cell in batch:
            empty = False
            text = "" if seen is None else structure(cell)
            charged = seen is None or text not in seen
            if charged:
                own = getattr(searcher, "search_seconds", 0.0) - booked
                if not 0 <= own < math.inf:
                    raise InvalidQuery(_about_seconds(own))
                if spent + (own if budget.clock == "seconds" else 0.0) > last:
                    return
                evaluation = oracle.evaluate(cell)
                if seen is not None:
                    seen[text] = evaluation
                if own:
                    evaluation = evaluation._replace(seconds=evaluation.seconds + own)
                    booked += own
                    overhead += own
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
            recommended = recommend() if recommend is not None else None
            overhead += clock() - start
            yield Step(cell, evaluation, charged, overhead, recommended)
            overhead = 0.0
        if empty:
            raise InvalidQuery(
                "ask returned something without cells that is not empty; return a list of cells"
            )


def _about_seconds(own: float) -> str:
    what = f"shrank by {-own:g}" if -math.inf < own < 0 else f"grew by {own:g}"
    return f"search_seconds {what}; it is the sum so far, a finite number"


def check_least(searcher: Searcher[C], budget: Budget, name: str = "this searcher") -> None:
    """Raise InvalidBudget if the budget is below the searcher's `least`."""
    least: int = getattr(searcher, "least", 0)
    if budget.clock == "queries" and budget.amount < least:
        raise InvalidBudget(
            f"a budget of {budget} is less than the {least} queries that {name} makes before it chooses any; "
            "give a larger budget"
        )


def left_for_one(oracle: Oracle[C], budget: Budget, *, epochs: float = 0.0) -> float:
    """The most that may be spent before a query, so that it does not overrun by the cost that is known before.

    `epochs`: those of a query, where the oracle does not state them.

    Raises InvalidBudget if the budget does not pay for one query.
    """
    epochs = float(getattr(oracle, "epochs", epochs))
    left = budget.amount - {"queries": 1.0, "epochs": epochs}.get(budget.clock, 0.0)
    if left < 0:
        price = f" of {epochs:g} epochs" if budget.clock == "epochs" else ""
        raise InvalidBudget(f"a budget of {budget} does not pay for one query{price}; give a larger budget")
    return left


def cost(evaluation: Evaluation, clock: Clock) -> float:
    """The cost of a query on a clock.

    Raises InvalidBudget if it is not known.
    """
    if clock == "queries":
        return 1.0
    value = evaluation.epochs if clock == "epochs" else evaluation.seconds
    if math.isnan(value):
        raise InvalidBudget(
            f"this table does not say what a query costs in {clock}; give the budget in queries"
        )
    return value
