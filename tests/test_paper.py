"""Published figures: each with its status, and no figure of ours among them."""

from pathlib import Path

import numpy as np
import pytest

from nasgauge.analysis.results.campaign import load
from nasgauge.analysis.results.published import (
    CONFIRMED,
    NASBENCH201,
    TENAS_TABLE_1,
    UNCONFIRMED,
    beside,
    pnas_efficiency,
)
from nasgauge.harness.search.campaign import Campaign, Rules
from nasgauge.harness.search.runner import Budget
from nasgauge.searchers.tenas import SHIPPED, SearchFile


def test_what_was_read_in_no_source_is_printed_as_unconfirmed() -> None:
    status = {row.method: row.status for row in NASBENCH201.rows}
    assert {name for name, said in status.items() if said == UNCONFIRMED} == {
        "SETN", "REA", "RS", "REINFORCE", "BOHB",
    }  # fmt: skip
    assert status["RSPS"] == "accuracies confirmed"
    assert status["GDAS"] == "seconds confirmed"
    assert {row.status for row in TENAS_TABLE_1.rows} == {CONFIRMED}


def test_rows_that_both_papers_print_agree() -> None:
    tenas = {row.method: row.figures for row in TENAS_TABLE_1.rows}
    nasbench = {row.method: row.figures for row in NASBENCH201.rows}
    for name in ("ResNet", "RSPS", "ENAS", "optimal"):
        assert np.array(tenas[name]) == pytest.approx(np.array(nasbench[name]), nan_ok=True)


def test_the_speed_ups_of_pnas_are_computed_from_confirmed_counts() -> None:
    table = pnas_efficiency()
    assert table.frame["ratio"].tolist() == pytest.approx([5.0, 3.5, 3.15], abs=0.04)
    assert "| 1 | 0.9183 | 1160 | 5808 | 5.0 |" in table.markdown


def test_our_rows_stand_below_the_methods_that_they_repeat(campaign_folder) -> None:  # type: ignore[no-untyped-def]
    table = beside(NASBENCH201, load(campaign_folder))
    methods = table.frame["method"].tolist()
    assert methods[methods.index("RS†") + 1] == "random"
    assert methods[methods.index("optimal") + 1] == "best cell"
    assert methods[-2:] == ["evolution:population=10", "local"]  # the tuned evolution is not the paper's
    ours = table.frame[table.frame["from"] == "ours"]
    assert ours["status"].unique().tolist() == ["measured"]
    assert ours["C10"].isna().all()  # no CIFAR-10 in this campaign
    assert "n = 0" in ours["source"].iloc[0]
    assert r"\toprule" in table.latex
    assert "| REA† | published | 93.92 | 0.30 |" in table.markdown


def test_a_search_on_cifar10_fills_every_column_also_from_own_searches(tmp_path: Path) -> None:
    own = tmp_path / "tenas" / "searches.json"
    own.parent.mkdir()
    own.write_bytes(SHIPPED.read_bytes())
    campaign = Campaign.on_table(
        tmp_path / "out",
        ["random", f"tenas:searches={own}"],
        "nb201",
        seeds=3,
        rules=Rules(budget=Budget(5), search_on="cifar10"),
    )
    list(campaign.run(workers=1))
    loaded = load(tmp_path / "out")
    for published, method in ((TENAS_TABLE_1, "TE-NAS"), (NASBENCH201, "RS†")):
        table = beside(published, loaded)
        ours = table.frame[table.frame["status"] == "measured"]
        searched = ours[ours["method"] != "best cell"]
        assert len(searched) == 2
        columns = [name for name in table.columns if name.startswith(("C10", "IN16", "GPU"))]
        assert searched[columns].notna().all(axis=None)
        assert "Ours: searched on CIFAR-10 alone" in table.note
        row = table.frame["method"].tolist().index(method)
        assert table.frame["method"][row + 1] == (f"tenas:searches={own}" if method == "TE-NAS" else "random")
    stored = SearchFile.read(own).by_seed("released-paper-settings")
    seconds = [stored[seed].seconds for seed in range(3)]
    tenas = searched[searched["method"].str.startswith("tenas")]
    assert tenas["GPU s"].item() == pytest.approx(np.mean(seconds), rel=0.05)
