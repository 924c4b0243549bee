"""Cells by their official index, as `nas-bench-201` and `nats-bench` count them."""

from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nasgauge.data.importers import SETS
from nasgauge.data.tables import AccuracyTable, NotInTable
from nasgauge.harness.records.recipes import RECIPES
from nasgauge.spaces.cells import EDGES, OPERATIONS, Cell, InvalidCell
from nasgauge.spaces.costs import TASKS
from nasgauge.spaces.errors import NasgaugeError
from nasgauge.spaces.nb201 import NB201

MISSING: Final[Mapping[str, str]] = MappingProxyType(
    {
        "get_net_param": "trained weights are not in any table; train the cell: nasgauge.train",
        "clear_params": "no weights are loaded",
        "reload": "the whole table is in memory",
        "query_meta_info_by_index": "use get_more_info, get_cost_info, or query_by_index with a dataset",
        "statistics": "use query_by_index, whose keys are the seeds of a cell",
    }
)
"""Methods of the old interface that are not here, and why, or what to use instead."""


class NotOffered(NasgaugeError, AttributeError):
    """A method of the old interface that is not here."""


class Indices:
    """The cells of a table: strings, indices, encodings and networks.

    Raises NotInTable for a table without official indices.
    """

    def __init__(self, table: AccuracyTable) -> None:
        if table.official is None:
            raise NotInTable(f"table {table.name} does not say the official index of its cells")
        self.table = table

    @cached_property
    def meta_archs(self) -> tuple[str, ...]:
        """All cells in official order."""
        assert self.table.official is not None  # checked when made
        return tuple(str(NB201()[rank]) for rank in np.argsort(self.table.official).tolist())

    @cached_property
    def evaluated_indexes(self) -> tuple[int, ...]:
        """Official indices of the cells that have any value."""
        known = np.zeros(len(NB201()), dtype=bool)
        for values in self.table.columns.values():
            known |= ~np.isnan(values)
        assert self.table.official is not None  # checked when made
        return tuple(sorted(self.table.official[known].tolist()))

    def __len__(self) -> int:
        return len(self.meta_archs)

    def __getitem__(self, index: int) -> str:
        return self.meta_archs[index]

    def arch(self, index: int) -> str:
        """The official string of a cell.

        Raises NotInTable.
        """
        if not 0 <= index < len(self):
            raise NotInTable(f"there is no cell {index}; choose from 0 to {len(self) - 1}")
        return self.meta_archs[index]

    def query_index_by_arch(self, arch: object) -> int:
        """The index of a string, of an object with `tostr`, or of an index; -1 for a string that is not a cell.

        Raises NotInTable for a number that is no index.
        """
        if isinstance(arch, int):
            self.arch(arch)
            return arch
        text = arch.tostr() if hasattr(arch, "tostr") else arch
        try:
            rank = Cell.parse(text).rank if isinstance(text, str) else -1
        except InvalidCell:
            return -1
        assert self.table.official is not None  # checked when made
        return int(self.table.official[rank]) if rank >= 0 else -1

    def get_net_config(self, index: int, dataset: str) -> dict[str, int | str]:
        """The network of a cell on a dataset: channels `C` of its first stage, `N` cells a stage, classes.

        Raises NotInTable.

        >>> from nasgauge.data.sources import open_table
        >>> Indices(open_table()).get_net_config(0, "cifar100")["num_classes"]
        100
        """
        if dataset not in SETS:
            raise NotInTable(f"unknown dataset {dataset!r}; choose from {', '.join(SETS)}")
        recipe = RECIPES["nb201-200"]
        return {
            "name": "infer.tiny",
            "C": recipe.channels,
            "N": recipe.cells,
            "arch_str": self.arch(index),
            "num_classes": TASKS[dataset].classes,
        }

    @staticmethod
    def str2lists(arch_str: str) -> list[tuple[tuple[str, int], ...]]:
        """The operations and source nodes into each node.

        Raises InvalidCell.

        >>> Indices.str2lists("|nor_conv_1x1~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|")[0]
        (('nor_conv_1x1', 0),)
        """
        ops = Cell.parse(arch_str).ops
        return [
            tuple((op, source) for op, (source, into) in zip(ops, EDGES, strict=True) if into == node)
            for node in (1, 2, 3)
        ]

    @staticmethod
    def str2matrix(arch_str: str) -> NDArray[np.float64]:
        """The operation from each node (column) into each (row), by its place in the benchmark's list, (4, 4).

        Raises InvalidCell.
        """
        matrix = np.zeros((4, 4))
        for op, (source, into) in zip(Cell.parse(arch_str).ops, EDGES, strict=True):
            matrix[into, source] = OPERATIONS.index(op)
        return matrix

    def get_unique_str(self, arch: object) -> str:
        """A string that structurally equal cells share."""
        return NB201().canonical(Cell.parse(self.arch(self.query_index_by_arch(arch))))

    def _cell(self, index: int) -> Cell:
        return Cell.parse(self.arch(index))

    def __getattr__(self, name: str) -> object:
        if name in MISSING:
            raise NotOffered(f"nasgauge.facade has no {name}: {MISSING[name]}")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
