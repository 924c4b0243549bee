"""Files of learning curves: their checksum, and campaigns that say which curves they used."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from nasgauge.cli import app
from nasgauge.data.curves import RANK, Curves, curves_path
from nasgauge.data.tables import AccuracyTable, Column, DamagedTable
from nasgauge.harness.records.folders import records_of
from nasgauge.harness.records.results import OtherCampaign, settings_of
from nasgauge.harness.search.campaign import Campaign, Rules
from nasgauge.harness.search.runner import Budget
from nasgauge.spaces.cells import N_CELLS
from nasgauge.verification import verify

COLUMN = Column("toy", 12, "valid", 777)


def curves(slope: float = 1.0) -> Curves:
    rows = np.zeros(N_CELLS, dtype=[(RANK, "<i4"), (str(COLUMN), "<f8", (12,))])
    rows[RANK] = np.arange(N_CELLS)
    rows[str(COLUMN)] = np.arange(N_CELLS)[:, None] / N_CELLS + slope * np.arange(12)
    return Curves(rows)


@pytest.fixture
def table(toy: AccuracyTable, tmp_path: Path) -> Path:
    """A table with curves beside it."""
    path = tmp_path / "curved.npz"
    toy.save(path)
    curves().save(curves_path(path))
    return path


def campaign(table: Path, metric: str = "12@6", seeds: int = 2) -> Campaign:
    rules = Rules(budget=Budget(5), metric=metric)
    return Campaign.on_table(table.parent / "out", ["random"], table, seeds=seeds, rules=rules)


def test_curves_come_back_with_their_checksum_and_numpy_reads_them(table: Path) -> None:
    path = curves_path(table)
    again = Curves.load(path, whole=True)
    assert np.array_equal(np.load(path), curves().rows)
    assert np.array_equal(again.rows, curves().rows)
    assert re.fullmatch("[0-9a-f]{64}", again.sha256)
    assert again.sha256 == Curves.load(path).sha256
    before = path.read_bytes()
    again.save(path)
    assert path.read_bytes() == before
    curves(slope=2.0).save(path)
    assert Curves.load(path).sha256 != again.sha256


def test_an_altered_value_is_found_where_all_is_read_and_a_wrong_size_at_once(table: Path) -> None:
    path = curves_path(table)
    whole = path.read_bytes()
    path.write_bytes(whole[:-3] + b"\x00" + whole[-2:])
    Curves.load(path)
    for look in (lambda: Curves.load(path, whole=True), lambda: campaign(table)):
        with pytest.raises(
            DamagedTable, match=r"curved\.curves\.npy is damaged \(it was altered: .*\); remove it"
        ):
            look()
    shown = CliRunner().invoke(app, ["data", "info", str(table)])
    assert isinstance(shown.exception, DamagedTable)
    for content in (whole[:-1], whole + b"x", whole.replace(b"nasgauge-sha256", b"nasgauge-sha512")):
        path.write_bytes(content)
        with pytest.raises(DamagedTable, match="is damaged"):
            Curves.load(path)


def test_curves_of_cells_that_cannot_be_are_refused() -> None:
    for ranks in (np.arange(N_CELLS) + 1, np.zeros(N_CELLS)):
        rows = curves().rows.copy()
        rows[RANK] = ranks
        with pytest.raises(DamagedTable, match="not of different cells; import them again"):
            Curves(rows).at(COLUMN, 6)


def test_replaced_curves_are_another_campaign(table: Path) -> None:
    list(campaign(table).run(workers=1))
    known = Curves.load(curves_path(table)).sha256
    folder = table.parent / "out"
    assert settings_of(folder).curves_sha256 == known
    assert {record.header.curves_sha256 for record in records_of(folder)[0]} == {known}
    assert campaign(table).missing() == []
    assert len(campaign(table, seeds=4).missing()) == 1

    curves(slope=2.0).save(curves_path(table))
    with pytest.raises(
        OtherCampaign, match=f"made with learning curves {known[:12]}, not learning curves"
    ) as one:
        campaign(table, seeds=4).missing()
    curves_path(table).unlink()
    with pytest.raises(OtherCampaign, match="not no learning curves") as none:
        campaign(table, metric="").missing()
    assert all("\n" not in str(raised.value) for raised in (one, none))


def test_a_unit_of_other_curves_is_left_out_of_the_folder(table: Path) -> None:
    list(campaign(table).run(workers=1))
    folder, unit = table.parent / "out", "random@toy@00000-00001.parquet"
    other = (folder / unit).read_bytes()
    shutil.rmtree(folder)
    curves(slope=2.0).save(curves_path(table))
    list(campaign(table).run(workers=1))
    (folder / unit).write_bytes(other)
    (folder / "measured" / unit).unlink()
    records, left_out = records_of(folder)
    assert records == []
    assert "belongs to another campaign" in left_out[0]


def test_curves_that_change_under_a_campaign_stop_it(table: Path) -> None:
    begun = campaign(table)
    curves(slope=2.0).save(curves_path(table))
    with pytest.raises(DamagedTable, match=r"the curves of .* have checksum .*, the campaign began with"):
        list(begun.run(workers=1))
    assert not (table.parent / "out").exists()


def test_without_curves_nothing_is_written_of_them(toy_file: Path, table: Path) -> None:
    folder = table.parent / "plain"
    list(
        Campaign.on_table(folder, ["random"], toy_file, seeds=2, rules=Rules(budget=Budget(5))).run(workers=1)
    )
    assert "curves_sha256" not in json.loads((folder / "campaign.json").read_text())
    assert b"curves_sha256" not in (folder / "random@toy@00000-00001.parquet").read_bytes()


def test_verify_reads_the_curves_too(table: Path) -> None:
    list(campaign(table).run(workers=1))
    folder, path = table.parent / "out", curves_path(table)
    found = verify(folder, rerun=1)
    assert (found.files, found.rerun, found.problems, found.notes) == (2, 1, [], [])
    whole = path.read_bytes()
    path.write_bytes(whole[:-3] + b"\x00" + whole[-2:])
    assert "was altered" in verify(folder).problems[0]
    curves(slope=2.0).save(path)
    assert "were replaced on this machine" in verify(folder).notes[0]
    assert "were replaced on this machine" in verify(folder, rerun=1).problems[0]
    path.unlink()
    assert "are not on this machine" in verify(folder).notes[0]


def test_curves_of_earlier_versions_are_read_and_it_is_said(table: Path) -> None:
    np.save(curves_path(table), curves().rows)
    assert Curves.load(curves_path(table), whole=True).sha256 == ""
    made = campaign(table)
    assert any("learning curves have no checksum" in note for note in made.notes)
    list(made.run(workers=1))
    assert settings_of(table.parent / "out").curves_sha256 == ""
    assert verify(table.parent / "out", rerun=1).problems == []
    shown = CliRunner().invoke(app, ["data", "info", str(table)]).output
    assert "no checksum; import them again" in " ".join(shown.split())
    curves().save(curves_path(table))  # imported again
    with pytest.raises(OtherCampaign, match="no learning curves, or some without a checksum, not learning"):
        campaign(table).missing()
