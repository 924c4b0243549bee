"""Figures of cells beside accuracy: latency and energy from the table `hw`, the others computed."""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nasgauge.data.hardware import DATASETS, HardwareTable, Measure
from nasgauge.data.shipped import HARDWARE
from nasgauge.spaces.cells import N_CELLS
from nasgauge.spaces.costs import activations, multiply_adds, of_every_cell, parameters
from nasgauge.spaces.errors import NasgaugeError
from nasgauge.spaces.objectives import Constraint, InvalidConstraint, Objective

_MEGABYTE_OF: Final = 4e-6
"""Megabytes of one activation in single precision."""


class NoCosts(NasgaugeError, LookupError):
    """A dataset on whose networks no figures are known."""


@cache
def figures(objective: Objective, dataset: str) -> NDArray[np.float64]:
    """The figures of an objective of all cells, (15625,) by `Cell.rank`, in its unit; NaN where there is none.

    `dataset` is the one whose networks are meant: classes and image sides differ.

    Raises NoCosts, DamagedTable.

    >>> figures(Objective.parse("params"), "cifar10").max()
    np.float64(1.531546)
    >>> np.isnan(figures(Objective.parse("latency@edgetpu"), "cifar10")).sum()
    np.int64(4699)
    """
    trained = dataset.removesuffix("-valid")
    if trained not in DATASETS:
        raise NoCosts(
            f"no {objective} of cells is known on dataset {dataset!r}; choose from {', '.join(DATASETS)}"
        )
    if objective.device:
        return _table().columns[Measure(trained, objective.quantity, objective.device)]
    cost, scale = {
        "flops": (multiply_adds, 1e-6),
        "params": (parameters, 1e-6),
        "memory": (activations, _MEGABYTE_OF),
    }[objective.quantity]
    # rounded to the last digit of a count, so that a limit as it is printed includes its cell
    values: NDArray[np.float64] = np.round(of_every_cell(cost, trained) * scale, 6)
    values.flags.writeable = False
    return values


def met(constraints: tuple[Constraint, ...], dataset: str) -> NDArray[np.bool_]:
    """Which cells meet all constraints, (15625,) by `Cell.rank`; one without the figure does not.

    Raises InvalidConstraint where no cell does, NoCosts.

    >>> from nasgauge.spaces.objectives import constraints
    >>> met(constraints("latency@edgegpu<=3"), "cifar10").sum()
    np.int64(1535)
    """
    kept = np.ones(N_CELLS, dtype=bool)
    for one in constraints:
        values = figures(one.objective, dataset)
        kept &= values <= one.limit if one.relation == "<=" else values >= one.limit
        if not kept.any():
            lowest, highest = np.nanmin(values), np.nanmax(values)
            beside = " together with the others" if len(constraints) > 1 else ""
            raise InvalidConstraint(
                f"no cell meets {one}{beside} on {dataset}; {one.objective} is between {lowest:.6g} and {highest:.6g} "
                f"{one.objective.unit}"
            )
    return kept


@cache
def _table() -> HardwareTable:
    return HARDWARE.open()
