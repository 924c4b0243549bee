"""The tables of final networks: published rows, our trainings beside them, and what is missing."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from nasgauge.analysis.results.final_networks import FINAL_TABLES, SPEEDS, final_table
from nasgauge.cli import app
from nasgauge.cli.bridge import NoTrainings
from nasgauge.harness.records.recipes import RECIPES, recipe_named
from nasgauge.harness.records.trainings import Epoch, TrainingHeader, TrainingRecord, write
from nasgauge.spaces.architectures import PUBLISHED

SIZES = {
    (row.architecture, row.recipe): (4_137_526, 638_000_000)
    for table in FINAL_TABLES
    for row in table.rows
    if row.architecture
}
CIFAR = next(table for table in FINAL_TABLES if table.name == "final-tenas-cifar10")
NAN = float("nan")


def record(seed: int, test: float, epochs: int = 800) -> TrainingRecord:
    header = TrainingHeader(
        cell=str(PUBLISHED["tenas-cifar10"]),
        dataset="cifar10",
        splits="official",
        images_sha256="",
        classes=10,
        recipe=RECIPES["tenas-cifar"],
        seed=seed,
        device="cuda",
        threads=1,
        precision="bf16",
        parameters=4_137_526,
        argv=(),
        commit="",
        versions={},
    )
    rows = [Epoch(n + 1, 0.1, 1.0, 90.0, NAN, NAN, NAN, NAN, 400.0, 90.0, 1e9) for n in range(epochs)]
    rows[-1] = rows[-1]._replace(test_accuracy=test, test_top5=99.9)
    return TrainingRecord(header, tuple(rows))


def test_every_row_of_ours_is_an_architecture_with_a_recipe() -> None:
    for table in FINAL_TABLES:
        for row in table.rows:
            assert bool(row.architecture) == bool(row.recipe)
            if row.architecture:
                assert row.architecture in PUBLISHED
                assert RECIPES[row.recipe].source
    assert sum(bool(row.architecture) for table in FINAL_TABLES for row in table.rows) == 11


def test_our_trainings_stand_below_the_published_row() -> None:
    frame = final_table(CIFAR, SIZES, [record(0, 97.0), record(1, 97.4), record(2, 50.0, epochs=7)]).frame
    place = frame.index[frame["method"] == "tenas-cifar10"][0]
    theirs, ours = frame.loc[place - 1], frame.loc[place]
    assert (theirs["method"], theirs["error"], theirs["from"]) == ("TE-NAS", 2.63, "published")
    assert ours["error"] == pytest.approx(2.8)
    assert ours["sd"] == pytest.approx(np.std([3.0, 2.6], ddof=1))
    assert ours["top-5 error"] == pytest.approx(0.1)
    assert ours["GPU hours"] == pytest.approx(800 * 90 / 3600)
    assert ours["status"] == "measured, n = 2, cuda"


def test_a_training_of_some_classes_is_not_one_of_imagenet() -> None:
    table = next(table for table in FINAL_TABLES if table.name == "final-tenas-imagenet")
    header = record(0, 75.0).header.model_copy(
        update={
            "cell": str(PUBLISHED["tenas-imagenet"]),
            "dataset": "imagenet",
            "recipe": RECIPES["tenas-imagenet"],
        }
    )
    for classes, status in ((10, "not trained"), (1000, "measured, n = 1, cuda")):
        part = TrainingRecord(
            header.model_copy(update={"classes": classes}), record(0, 75.0, epochs=250).epochs
        )
        frame = final_table(table, SIZES, [part]).frame.set_index("method")
        assert str(frame.loc["tenas-imagenet", "status"]).startswith(status)


def test_gpu_hours_are_those_of_all_gpus() -> None:
    one = record(0, 97.0)
    header = one.header

    def row(**changed: object) -> dict[str, Any]:
        frame = final_table(CIFAR, SIZES, [replace(one, header=header.model_copy(update=changed))]).frame
        return dict(frame.set_index("method").loc["tenas-cifar10"])

    assert row(processes=8)["GPU hours"] == pytest.approx(8 * 800 * 90 / 3600)
    assert np.isnan(row(device="cpu")["GPU hours"])


def test_an_untrained_row_has_its_command_and_expected_hours() -> None:
    frame = final_table(CIFAR, SIZES).frame.set_index("method")
    ours = frame.loc["tenas-cifar10"]
    assert np.isnan(ours["error"])
    assert ours["status"] == "not trained: nasgauge train tenas-cifar10 -d cifar10 -r tenas-cifar"
    rate = SPEEDS["cifar"].rate
    assert ours["GPU hours"] == pytest.approx(800 * 50_000 * 638e6 / rate / 3600)
    assert final_table(CIFAR, SIZES, rate=2 * rate).frame.set_index("method").loc["tenas-cifar10"][
        "GPU hours"
    ] == pytest.approx(ours["GPU hours"] / 2)


def test_another_recipe_or_dataset_is_no_row() -> None:
    other = record(0, 97.0)
    short = recipe_named("tenas-cifar", epochs=800 - 1)
    changed = [
        TrainingRecord(other.header.model_copy(update={"dataset": "cifar100"}), other.epochs),
        TrainingRecord(other.header.model_copy(update={"recipe": short}), other.epochs[1:]),
    ]
    frame = final_table(CIFAR, SIZES, changed).frame.set_index("method")
    assert np.isnan(frame.loc["tenas-cifar10"]["error"])


@pytest.mark.torch
def test_the_command_prints_all_tables_and_says_where_the_paper_is_wrong(tmp_path: Path) -> None:
    trained = tmp_path / "trained"
    trained.mkdir()
    write(trained / "one.parquet", record(0, 97.25).header, record(0, 97.25).epochs)
    out = tmp_path / "tables"
    done = CliRunner().invoke(
        app, ["score", "final", str(trained), "--out", str(out)], catch_exceptions=False
    )
    assert (
        "The paper prints 3.8 M parameters; the CIFAR-10 genotype that its authors published has 4,137,526"
        in done.stdout
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("| tenas-cifar10 | ours | 2.75"))
    assert "| 4.14 | 638 |" in line
    assert sorted(path.name for path in out.glob("*.csv")) == sorted(
        f"{table.name}.csv" for table in FINAL_TABLES
    )


@pytest.mark.torch
def test_a_folder_without_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoTrainings, match="holds no training records; nasgauge train --out"):
        CliRunner().invoke(app, ["score", "final", str(tmp_path)], catch_exceptions=False)
