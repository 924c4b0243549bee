"""What a user should know of the table and the budget of a campaign."""

from collections.abc import Iterator, Mapping

from nasgauge.data.curves import Curves
from nasgauge.data.sources import open_table
from nasgauge.data.tables import AccuracyTable
from nasgauge.harness.search.oracle import Table
from nasgauge.harness.search.runner import Budget
from nasgauge.harness.search.units import generators
from nasgauge.spaces.errors import NasgaugeError


def about_table(table: AccuracyTable, curves: Curves | None, oracles: Mapping[str, Table]) -> Iterator[str]:
    """A line for the table, one for learning curves without a checksum, and one for each dataset."""
    yield f"table {table.name} ({table.sha256[:12]}): {table.limits}"
    if curves is not None and not curves.sha256:
        yield "note: its learning curves have no checksum, so a change of them is not noticed; import them again to have one"
    for name, oracle in oracles.items():
        warning = f"; note: {oracle.view.warning}" if oracle.view.warning else ""
        yield f"{name}: search metric {oracle.metric}, reported {oracle.view.report}{warning}"


def beyond(budget: Budget, oracles: Mapping[str, Table]) -> Iterator[str]:
    """A line for each dataset on which the budget pays for evaluating every cell."""
    for name, oracle in oracles.items():
        one, count = oracle.for_run(generators(0)[1]), len(oracle.space)
        everything = {
            "queries": float(count),
            "epochs": count * one.evaluate(oracle.space[0]).epochs,
            "seconds": float(oracle.seconds.sum()),
        }[budget.clock]
        if budget.amount > everything:
            yield (
                f"note: {budget} on {name} are more than evaluating all {count:,} cells costs ({everything:g}); "
                "a run ends when they are spent or the searcher stops"
            )


def opens_by_name(table: AccuracyTable) -> bool:
    """Whether the table that has this one's name is this one."""
    try:
        return open_table(table.name).sha256 == table.sha256
    except NasgaugeError:
        return False
