"""Search on one dataset, report on another, from a results folder and its table."""

from pathlib import Path

import numpy as np
import pandas as pd

from nasgauge.analysis.results.campaign import Campaign
from nasgauge.analysis.results.transfer import transfer
from nasgauge.analysis.statistics.recommendations import Rule
from nasgauge.data.sources import open_table
from nasgauge.data.tables import DamagedTable
from nasgauge.spaces.errors import NasgaugeError


class NoTransfer(NasgaugeError, ValueError):
    """Results whose cells are known on no other dataset."""


def transfer_of(folder: Path, campaign: Campaign, rule: Rule = "incumbent") -> pd.DataFrame:
    """See `nasgauge.analysis.results.transfer.transfer`; resampled with the generator of seed 0.

    Raises NoTransfer where cells are trained or the table has one dataset, DamagedTable if it is another table now,
    NotSmoothed, and what `open_table` raises.
    """
    settings = campaign.settings
    if settings.training is not None:
        raise NoTransfer(f"the cells in {folder} were trained on one dataset; search on a table")
    table = open_table(settings.table_in(folder))
    if table.sha256 != settings.table_sha256:
        raise DamagedTable(
            f"{settings.table} has checksum {table.sha256[:12]}, the campaign began with {settings.table_sha256[:12]}"
        )
    if len(table.views) < 2:
        raise NoTransfer(
            f"table {table.name} has one dataset, {next(iter(table.views))}; choose another table"
        )
    accuracy = {dataset: table.column(view.report) for dataset, view in table.views.items()}
    return transfer(campaign, accuracy, np.random.default_rng(0), rule=rule)
