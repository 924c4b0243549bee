"""Named search protocols: a search metric with a budget."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from nasgauge.harness.search.oracle import Fidelity, SearchMetric
from nasgauge.harness.search.runner import Budget


@dataclass(frozen=True, kw_only=True)
class SearchProtocol:
    """What a searcher observes, and how much it may spend."""

    metric: SearchMetric
    budget: Budget
    about: str
    """In one sentence."""


PROTOCOLS: Final[Mapping[str, SearchProtocol]] = MappingProxyType(
    {
        "nb201-200": SearchProtocol(
            metric=SearchMetric(Fidelity(200), seeds="random"),
            budget=Budget(200),
            about="200-epoch validation accuracy of one training seed drawn at each query, as a single training "
            "would show it",
        ),
        "nb201-12": SearchProtocol(
            metric=SearchMetric(Fidelity(12)),
            budget=Budget(12_000, "seconds"),
            about="mean 12-epoch validation accuracy within 12,000 simulated GPU seconds (Dong and Yang, 2020, "
            "section 5)",
        ),
    }
)
"""By name, the default first; both report the mean 200-epoch test accuracy.

Mean simulated GPU seconds of a query in the table `nb201`, which are of training alone: 1,828 on CIFAR-10,
3,656 on CIFAR-100 and 11,092 on ImageNet16-120 with `nb201-200`; 110, 219 and 666 with `nb201-12`, so that
12,000 seconds buy about 109, 55 and 18 cells.

>>> str(PROTOCOLS[DEFAULT_PROTOCOL].metric), str(PROTOCOLS["nb201-12"].budget)
('200/valid/random', '12000 seconds')
"""

DEFAULT_PROTOCOL: Final = "nb201-200"
