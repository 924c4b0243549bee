"""Objectives and constraints of a campaign: given to its searchers, and gathered for its report."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from nasgauge.analysis.results.campaign import Campaign
from nasgauge.analysis.results.pareto import Known
from nasgauge.data.figures import NoCosts, figures
from nasgauge.data.shipped import HARDWARE
from nasgauge.data.sources import open_table
from nasgauge.harness.search.specs import Searchable, Spec
from nasgauge.spaces.objectives import Objective, constraints, objectives


def aimed(searchers: Iterable[Searchable], objective: str = "", constraint: str = "") -> list[Searchable]:
    """The searchers under a constraint, and with an objective those that take one; what they have of it is kept.

    Raises UnknownObjective, InvalidConstraint, UnknownSearcher, InvalidOption.

    >>> [str(one) for one in aimed(["random", "nsga2"], "params", "flops<=50")]
    ['random:constraint=flops<=50', 'nsga2:constraint=flops<=50:objective=params']
    """
    wanted = {
        "objective": "+".join(map(str, objectives(objective))),
        "constraint": "+".join(map(str, constraints(constraint))),
    }
    if not any(wanted.values()):
        return list(searchers)
    specs = [Spec.of(searcher) for searcher in searchers]
    return [
        Spec.of(
            spec,
            **{
                key: value
                for key, value in wanted.items()
                if value and key not in spec.aims and (key != "objective" or spec.takes_objectives)
            },
        )
        for spec in specs
    ]


def known_of(folder: Path, campaign: Campaign, objective: str = "") -> tuple[Known, ...]:
    """What is known of all cells, for each dataset of a results folder and its campaign, and each objective.

    `objective`: one or several, joined with `+`; by default those of the folder's searchers and of their constraints.
    Where cells are trained, and for tasks whose networks have no figures, there is nothing.

    Raises NoCosts if objectives are given and nothing is known, UnknownObjective, and what `open_table` raises.
    """
    settings = campaign.settings
    chosen = objectives(objective) or tuple(dict.fromkeys(_of_searchers(campaign)))
    found: list[Known] = []
    if chosen and settings.training is None:
        table = open_table(settings.table_in(folder))
        for dataset in campaign.datasets:
            for one in chosen:
                try:
                    values = figures(one, dataset)
                except NoCosts:
                    continue
                accuracy = table.column(table.view(dataset).report)
                found.append(
                    Known(dataset, one, values, accuracy, HARDWARE.open().sha256 if one.device else "")
                )
    if objective and not found:
        trained = (
            "its cells were trained, so no table knows the accuracy of all cells" if settings.training else ""
        )
        raise NoCosts(
            f"no trade-off with {objective} can be drawn for {folder}: "
            + (trained or f"no figures are known on {', '.join(settings.datasets)}")
        )
    return tuple(found)


def _of_searchers(campaign: Campaign) -> Iterator[Objective]:
    for headers in campaign.headers.values():
        settings = headers[0].settings
        yield from objectives(str(settings.get("objective", "")))
        yield from (one.objective for one in constraints(str(settings.get("constraint", ""))))
