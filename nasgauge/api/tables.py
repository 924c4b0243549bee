"""Tables of accuracies, for the public API."""

from pathlib import Path

from nasgauge.data import sources
from nasgauge.data.tables import AccuracyTable


def open_table(table: str | Path | AccuracyTable = sources.DEFAULT_TABLE) -> AccuracyTable:
    """Open a table of accuracies.

    Parameters
    ----------
    table
        A name (`nasgauge data list` prints them), the path of a `.npz` file, or a table, which is returned
        as it is.

    Raises
    ------
    UnknownTable, DamagedTable
        Subclasses of `nasgauge.NasgaugeError`.

    Examples
    --------
    >>> import nasgauge as ng
    >>> table = ng.open_table("nb201")
    >>> cell = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
    >>> round(table.query(cell, dataset="cifar100", epochs=200, split="test"), 2)
    52.91
    >>> len(table.frame())
    15625
    """
    return sources.open_table(table)
