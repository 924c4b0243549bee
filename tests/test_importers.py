"""What is read from foreign files, against figures that were checked by other means."""

import csv
import json
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

from nasgauge.data.importers import EXPORTS, ImportFailed, import_exports
from nasgauge.data.published import WrongFile
from nasgauge.data.sources import NB201_FILES
from nasgauge.data.tables import AccuracyTable, Column, DamagedTable
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.costs import multiply_adds, parameters
from nasgauge.spaces.nb201 import NB201

RAW = Path(__file__).resolve().parents[2] / "shared" / "nb201" / "raw"
needs_exports = pytest.mark.skipif(
    not all((RAW / name).is_file() for name in EXPORTS),
    reason=f"the public exports are not in {RAW}; `nasgauge data fetch nb201` downloads them",
)

CELL_0 = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
CELL_11 = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|none~0|nor_conv_3x3~1|avg_pool_3x3~2|"


@pytest.fixture(scope="module")
def nb201() -> AccuracyTable:
    return import_exports({name: RAW / name for name in EXPORTS})


@needs_exports
def test_the_best_cells_are_the_published_optima(nb201: AccuracyTable) -> None:
    optima = [nb201.column(nb201.view(dataset).report).max() for dataset in nb201.views]

    assert np.round(optima, 3).tolist() == [94.373, 73.513, 47.311]


@needs_exports
@pytest.mark.parametrize(
    ("text", "index", "figures"),
    [
        (
            CELL_0,
            0,
            {
                "cifar10/200/test/mean/accuracy": 85.863,
                "cifar100/200/test/mean/accuracy": 52.913,
                "ImageNet16-120/200/test/mean/accuracy": 26.633,
                "cifar10/200/test/777/accuracy": 85.62,
                "cifar10/200/test/888/accuracy": 86.18,
                "cifar10/200/test/999/accuracy": 85.79,
                "cifar10-valid/12/valid/mean/accuracy": 63.364,
                "cifar10/12/test/mean/accuracy": 69.55,
            },
        ),
        (
            CELL_11,
            11,
            {
                "cifar10/200/test/mean/accuracy": 91.583,
                "cifar100/200/test/mean/accuracy": 67.607,
                "ImageNet16-120/200/test/mean/accuracy": 30.167,
                "cifar10-valid/12/valid/mean/accuracy": 63.278,
                "cifar10/12/test/mean/accuracy": 74.0,
            },
        ),
    ],
)
def test_a_cell_has_its_official_figures(
    nb201: AccuracyTable, text: str, index: int, figures: dict[str, float]
) -> None:
    cell = Cell.parse(text)

    assert nb201.official is not None
    assert nb201.official[cell.rank] == index
    found = {name: round(nb201.value(cell, Column.parse(name)), 3) for name in figures}
    assert found == figures


@needs_exports
def test_what_is_published_as_validation_is_one_seed_on_test_images(nb201: AccuracyTable) -> None:
    trainings = ("cifar10-valid", "cifar100", "ImageNet16-120")
    columns = [nb201.column(Column(name, 200, "test", "single")) for name in trainings]

    assert [round(float(column.max()), 2) for column in columns] == [91.57, 73.26, 47.33]
    # 10,000 test images give steps of 0.01 points; 25,000 validation images would give steps of 0.004
    assert np.abs(columns[0] * 100 - np.round(columns[0] * 100)).max() < 1e-6
    assert not any(
        view.search in nb201.columns and view.search.split != "valid" for view in nb201.views.values()
    )
    assert not any(view.warning for view in nb201.views.values())


@needs_exports
def test_the_columns_agree_as_far_as_they_are_known_to(nb201: AccuracyTable) -> None:
    final = nb201.column(Column("cifar10", 200, "test", "mean"))
    short = nb201.column(Column("cifar10-valid", 12, "valid", "mean"))
    single = nb201.column(Column("cifar10-valid", 200, "test", "single"))
    seeds = [nb201.column(Column("cifar10", 200, "test", seed)) for seed in (777, 999)]
    both = ~np.isnan(seeds[1])

    assert kendalltau(short, final).statistic == pytest.approx(0.594, abs=5e-4)
    assert kendalltau(single, final).statistic == pytest.approx(0.882, abs=5e-4)
    assert kendalltau(seeds[0][both], seeds[1][both]).statistic == pytest.approx(0.910, abs=5e-4)


@needs_exports
def test_a_missing_seed_stays_missing(nb201: AccuracyTable) -> None:
    runs = sum(
        (~np.isnan(nb201.column(Column("cifar10", 200, "test", seed)))).astype(int)
        for seed in (777, 888, 999)
    )

    assert np.bincount(runs).tolist() == [0, 2225, 5439, 7961]


@needs_exports
def test_random_search_ends_where_it_is_known_to_end(nb201: AccuracyTable) -> None:
    rng = np.random.default_rng(0)
    short = nb201.column(Column("cifar10-valid", 12, "valid", "mean"))
    draws = rng.integers(len(short), size=(2000, 100))
    winners = draws[np.arange(2000), short[draws].argmax(axis=1)]
    known = {"cifar10": (93.74, 0.36), "cifar100": (71.17, 1.06), "ImageNet16-120": (44.76, 1.23)}

    for dataset, (mean, deviation) in known.items():
        ends = nb201.column(nb201.view(dataset).report)[winners]
        assert ends.mean() == pytest.approx(mean, abs=0.1)
        assert ends.std() == pytest.approx(deviation, abs=0.1)


@needs_exports
def test_a_table_comes_back_from_its_file(nb201: AccuracyTable, tmp_path: Path) -> None:
    nb201.save(tmp_path / "nb201.npz")
    again = AccuracyTable.load(tmp_path / "nb201.npz")

    assert again.sha256 == nb201.sha256
    assert np.array_equal(again.official, nb201.official)  # type: ignore[arg-type]


@needs_exports
def test_structural_classes_are_those_of_the_export() -> None:
    with (RAW / "nats_bench.csv").open() as file:
        rows = list(csv.DictReader(file))
    space = NB201()
    ours: dict[str, set[str]] = {}
    for row in rows:
        ours.setdefault(space.canonical(Cell.parse(row["ArchitectureString"])), set()).add(
            row["UniqueString"]
        )

    assert len(ours) == len({row["UniqueString"] for row in rows}) == 6466
    assert all(len(theirs) == 1 for theirs in ours.values())


def test_costs_of_a_network_are_the_official_ones() -> None:
    cell = Cell.parse(CELL_11)

    assert multiply_adds(cell) == 113_951_370
    assert parameters(cell) == 802_426
    assert (multiply_adds(cell, "ImageNet16-120"), parameters(cell, "ImageNet16-120")) == (
        28_495_480,
        809_576,
    )
    assert multiply_adds(Cell.parse(CELL_0), "cifar100") == 15_653_220


# Bad input: one line that says what is wrong, no table


def copies(folder: Path) -> dict[str, Path]:
    return {name: Path(shutil.copy(RAW / name, folder / name)) for name in EXPORTS}


@needs_exports
@pytest.mark.parametrize("name", EXPORTS)
def test_a_truncated_export_is_refused_by_name(name: str, tmp_path: Path) -> None:
    paths = copies(tmp_path)
    paths[name].chmod(0o600)
    paths[name].write_bytes(paths[name].read_bytes()[:-1000])

    with pytest.raises(ImportFailed, match=name):
        import_exports(paths)


@needs_exports
def test_exports_that_disagree_are_refused(tmp_path: Path) -> None:
    paths = copies(tmp_path)
    seeds = pickle.loads((RAW / "nb2_test_acc_cf10.p").read_bytes())
    first = next(iter(seeds))
    seeds[first] = [value + 1 for value in seeds[first]]
    paths["nb2_test_acc_cf10.p"].chmod(0o600)
    paths["nb2_test_acc_cf10.p"].write_bytes(pickle.dumps(seeds))

    with pytest.raises(ImportFailed, match="disagree on the CIFAR-10 accuracy of 1 cells"):
        import_exports(paths)


@needs_exports
def test_an_export_that_lacks_a_cell_is_refused(tmp_path: Path) -> None:
    paths = copies(tmp_path)
    with (
        zipfile.ZipFile(RAW / "nb201_zen.zip") as whole,
        zipfile.ZipFile(tmp_path / "short.zip", "w") as short,
    ):
        for name in whole.namelist():
            entries = json.loads(whole.read(name)) if name.endswith(".json") else []
            if name.endswith("--cifar100--0.json"):
                entries = entries[1:]
            if entries:
                short.writestr(name, json.dumps(entries))
    paths["nb201_zen.zip"] = tmp_path / "short.zip"

    with pytest.raises(ImportFailed, match=r"short\.zip: it lacks 1 of 15625 cells"):
        import_exports(paths)


class Foreign:
    """A class that no export needs."""


@needs_exports
@pytest.mark.parametrize("name", ["mini-bench-arch-cell-accs.pd", "nb2_test_acc_cf10.p"])
def test_a_foreign_class_is_not_brought_in(name: str, tmp_path: Path) -> None:
    paths = copies(tmp_path)
    paths[name].chmod(0o600)
    paths[name].write_bytes(pickle.dumps(Foreign()))

    with pytest.raises(ImportFailed, match=rf"{name}: it asks for .*Foreign"):
        import_exports(paths)


@needs_exports
def test_a_table_of_another_version_is_refused(nb201: AccuracyTable, tmp_path: Path) -> None:
    nb201.save(tmp_path / "nb201.npz")
    with np.load(tmp_path / "nb201.npz") as file:
        arrays = {name: file[name] for name in file.files}
    arrays["header"] = np.array(json.dumps({**json.loads(str(arrays["header"])), "format": 99}))
    np.savez(tmp_path / "nb201.npz", **arrays)

    with pytest.raises(
        DamagedTable, match=r"is a table of format 99, this version reads \d; remove the file"
    ):
        AccuracyTable.load(tmp_path / "nb201.npz")


def test_a_file_of_another_version_is_refused_with_its_address(tmp_path: Path) -> None:
    file = NB201_FILES[0]
    (tmp_path / file.name).write_text("not the export")

    with pytest.raises(WrongFile, match=rf"sha256 [0-9a-f]{{12}}….*get it from {file.address}"):
        file.check(tmp_path / file.name)
    with pytest.raises(WrongFile, match="there is no file"):
        file.check(tmp_path / "absent")
