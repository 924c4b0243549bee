"""A table is arrays and one index; a damaged one is refused, and what was not trained is never filled in."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from nasgauge.data.importers import ImportFailed, bundled_path, import_bundled, unpickle
from nasgauge.data.sources import UnknownTable, open_table
from nasgauge.data.tables import AccuracyTable, Column, DamagedTable, NotInTable, View
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.nb201 import NB201


def test_the_bundled_table_is_the_package_s_data(bundled: AccuracyTable) -> None:
    (column,) = bundled.columns
    accuracy = bundled.column(column)
    assert str(column) == "cifar10/unstated/test/single/accuracy"
    # (0, 0, 0, 0, 0, 0) of the package: skips alone
    assert bundled.value(Cell(("skip_connect",) * 6), column) == 60.7836
    assert accuracy.max() == pytest.approx(94.0664)
    assert accuracy.mean() == pytest.approx(86.772707)


def test_the_bundled_table_agrees_with_the_official_one_as_far_as_measured(
    bundled: AccuracyTable, shared: Path
) -> None:
    import csv

    from scipy.stats import kendalltau

    with (shared / "nats_bench.csv").open() as file:
        official = {
            row["ArchitectureString"]: float(row["CIFAR10TestAccuracy200Epochs"])
            for row in csv.DictReader(file)
        }
    theirs = np.array([official[str(cell)] for cell in NB201()])
    ours = bundled.column(bundled.view("cifar10").report)
    assert kendalltau(ours, theirs).statistic == pytest.approx(0.926, abs=0.001)
    assert np.median(np.abs(ours - theirs)) == pytest.approx(0.33, abs=0.005)


def test_one_figure_for_signal_and_report_is_told(bundled: AccuracyTable, toy: AccuracyTable) -> None:
    assert "the search signal is the reported test accuracy itself" in bundled.view("cifar10").warning
    assert toy.view("toy").warning == ""


def test_a_table_is_imported_once_and_anew_when_its_source_changes(
    cache: Path, bundled: AccuracyTable
) -> None:
    (kept,) = cache.glob("bundled-*.npz")
    written = kept.stat().st_mtime_ns
    assert open_table("bundled").sha256 == bundled.sha256
    assert kept.stat().st_mtime_ns == written
    assert kept.name == f"bundled-{bundled.source_sha256[:16]}.npz"


def test_a_saved_table_reads_back_the_same(toy: AccuracyTable, toy_file: Path) -> None:
    again = AccuracyTable.load(toy_file)
    assert again.sha256 == toy.sha256
    assert again.views == toy.views
    assert all(np.array_equal(again.column(column), toy.column(column)) for column in toy.columns)


@pytest.mark.parametrize("damage", ["truncated", "one byte", "not a table", "empty"])
def test_a_damaged_table_is_refused_in_one_line(toy_file: Path, tmp_path: Path, damage: str) -> None:
    whole = toy_file.read_bytes()
    middle = len(whole) // 2
    (tmp_path / "bad.npz").write_bytes(
        {
            "truncated": whole[:middle],
            "one byte": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
            "not a table": b"PK\x03\x04 or so",
            "empty": b"",
        }[damage]
    )
    with pytest.raises(DamagedTable, match=r"bad.npz is damaged .*remove it") as raised:
        AccuracyTable.load(tmp_path / "bad.npz")
    assert "\n" not in str(raised.value)


def test_altered_figures_are_noticed(toy: AccuracyTable, tmp_path: Path) -> None:
    path = tmp_path / "altered.npz"
    toy.save(path)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    name = next(name for name in arrays if name != "header")
    arrays[name][0] += 1
    np.savez(path, **arrays)
    with pytest.raises(DamagedTable, match="do not have the checksum"):
        AccuracyTable.load(path)


def test_what_was_not_trained_is_refused(toy: AccuracyTable) -> None:
    column = Column("toy", 200, "test", "mean")
    values = toy.column(column).copy()
    values[7] = np.nan
    holed = AccuracyTable(
        name="holed",
        limits="",
        source_sha256="",
        columns={column: values},
        views={"toy": View(column, column)},
    )
    with pytest.raises(NotInTable, match="has no toy/200/test/mean"):
        holed.value(NB201()[7], column)
    assert holed.value(NB201()[8], column) == values[8]


def test_an_unknown_column_dataset_or_table_is_told_what_there_is(toy: AccuracyTable) -> None:
    with pytest.raises(NotInTable, match=r"it has toy/12/valid/mean/accuracy"):
        toy.column(Column("toy", 12, "test", "mean"))
    with pytest.raises(NotInTable, match="choose from toy"):
        toy.view("cifar10")
    with pytest.raises(UnknownTable, match=r"choose from bundled.*did you mean bundled"):
        open_table("bundeld")
    with pytest.raises(UnknownTable, match="no table file"):
        open_table("nowhere.npz")


class Foreign:
    """A class that no data file needs."""


def test_a_pickle_with_a_foreign_class_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.anb"
    path.write_bytes(pickle.dumps({(0, 0, 0, 0, 0, 0): Foreign()}))
    with pytest.raises(ImportFailed, match="Foreign, which no such file needs"):
        import_bundled(path)


def test_a_truncated_or_incomplete_pickle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.anb"
    path.write_bytes(bundled_path().read_bytes()[:100_000])
    with pytest.raises(ImportFailed, match="does not read as a pickle"):
        import_bundled(path)
    path.write_bytes(pickle.dumps({}))
    with pytest.raises(ImportFailed, match="lacks 15625 of 15625 cells"):
        import_bundled(path)


def test_the_whitelist_holds_for_builtins_too(tmp_path: Path) -> None:
    path = tmp_path / "evil.pickle"
    path.write_bytes(pickle.dumps(print))
    with path.open("rb") as file, pytest.raises(ImportFailed, match=r"builtins\.print"):
        unpickle(file, {})
