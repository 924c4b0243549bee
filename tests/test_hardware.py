"""Figures beside accuracy: the table of latency and energy, objectives, constraints."""

from pathlib import Path

import numpy as np
import pytest
from conftest import SHARED

from nasgauge.data.figures import NoCosts, figures, met
from nasgauge.data.hardware import DATASETS, HardwareTable, Measure
from nasgauge.data.importers import ImportFailed, import_hardware
from nasgauge.data.published import WrongFile
from nasgauge.data.shipped import HARDWARE
from nasgauge.data.tables import DamagedTable
from nasgauge.spaces.cells import Cell, all_cells
from nasgauge.spaces.costs import activations
from nasgauge.spaces.nb201 import NB201
from nasgauge.spaces.objectives import (
    UNITS,
    Constraint,
    InvalidConstraint,
    Objective,
    UnknownObjective,
    constraints,
    names,
    objectives,
)

CELL_0 = Cell.parse(
    "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
)
NEEDS_SHARED = pytest.mark.skipif(
    not (SHARED / "hw").is_dir(), reason="the public files are not on this machine"
)


@pytest.fixture(scope="module")
def table() -> HardwareTable:
    return HARDWARE.open()


# The table


@NEEDS_SHARED
def test_it_is_built_from_the_public_files_byte_for_byte(tmp_path: Path) -> None:
    HARDWARE.build(SHARED / "hw", tmp_path)

    for name in (HARDWARE.file, "manifest.json"):
        assert (tmp_path / name).read_bytes() == (HARDWARE.folder / name).read_bytes()


@NEEDS_SHARED
def test_figures_are_those_of_the_files_to_the_last_digit(table: HardwareTable) -> None:
    """The row `(4, 3, 3, 0, 0, 0)` is cell 0: edges by source node; 0 skip, 3 1x1 convolution, 4 pool."""
    row = (SHARED / "hw" / "hw_cifar10.csv").read_text().splitlines()[1]
    assert row.startswith('"(4, 3, 3, 0, 0, 0)",')
    expected = dict(zip(
        ["edgegpu latency", "edgegpu energy", "raspi4 latency", "edgetpu latency", "pixel3 latency", "eyeriss latency",
         "eyeriss energy", "", "fpga latency", "fpga energy"],
        map(float, row.split('",')[1].split(",")), strict=True,
    ))  # fmt: skip
    for measure, values in table.columns.items():
        if measure.dataset == "cifar10":
            assert values[CELL_0.rank] == expected[f"{measure.device} {measure.quantity}"]


def test_every_cell_has_its_figures_but_those_that_the_edge_tpu_cannot_run(table: HardwareTable) -> None:
    assert len(table.columns) == len(DATASETS) * 9
    missing = {str(measure): int(np.isnan(values).sum()) for measure, values in table.columns.items()}
    assert {name: count for name, count in missing.items() if count} == {
        f"{dataset}/latency/edgetpu": 4699 for dataset in DATASETS
    }
    for values in table.columns.values():
        assert np.nanmin(values) > 0


def test_cells_without_a_path_are_those_that_need_no_time(table: HardwareTable) -> None:
    """Which only the right order of the edges can show."""
    connected = np.array([NB201().is_connected(cell) for cell in all_cells()])
    latency = table.columns[Measure("cifar10", "latency", "edgegpu")]

    assert latency[~connected].max() < latency[connected].min()
    assert np.isnan(table.columns[Measure("cifar10", "latency", "edgetpu")][~connected]).all()


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    content = bytearray((HARDWARE.folder / HARDWARE.file).read_bytes())
    content[100_000] ^= 1
    (tmp_path / HARDWARE.file).write_bytes(content)
    (tmp_path / "manifest.json").write_bytes((HARDWARE.folder / "manifest.json").read_bytes())

    with pytest.raises(DamagedTable, match="its manifest says"):
        HARDWARE.open(tmp_path)


def test_another_content_than_the_header_says_is_refused(table: HardwareTable, tmp_path: Path) -> None:
    path = tmp_path / "hw.npz"
    table.save(path)
    with np.load(path) as kept:
        header, changed = kept["header"], kept["figures"].copy()
    changed[0, 0] += 1
    np.savez(path, allow_pickle=False, header=header, figures=changed)

    with path.open("rb") as file, pytest.raises(DamagedTable, match="checksum"):
        HardwareTable.read(file, path)


def test_another_file_is_no_source(tmp_path: Path) -> None:
    for dataset in DATASETS:
        (tmp_path / f"hw_{dataset}.csv").write_text("net,edgegpu_latency\n")
    with pytest.raises(WrongFile, match="has sha256"):
        HARDWARE.build(tmp_path, tmp_path)
    paths = {f"hw_{dataset}.csv": tmp_path / f"hw_{dataset}.csv" for dataset in DATASETS}
    with pytest.raises(ImportFailed, match="lacks 15625 cells"):
        import_hardware(paths)
    (tmp_path / "hw_cifar10.csv").write_text('net\n"(9, 9)"\n')
    with pytest.raises(ImportFailed, match=r"is not the export hw_cifar10\.csv"):
        import_hardware(paths)


# Objectives and constraints


@pytest.mark.parametrize("text", [*names(), "params/max", "energy@fpga/max"])
def test_an_objective_has_one_text(text: str) -> None:
    objective = Objective.parse(text)
    assert str(objective) == text
    assert Objective.parse(f" {text} ") == objective
    assert objective.unit in UNITS.values()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("speed", "unknown objective 'speed'; choose from flops, params, memory, latency@edgegpu"),
        ("latency", "objective latency has no device ''; choose from latency@edgegpu, latency@raspi4"),
        ("energy@raspi4", "choose from energy@edgegpu, energy@eyeriss, energy@fpga"),
        ("flops@fpga", "objective flops has no device 'fpga'; choose from flops"),
        ("flops/up", "objective flops has no direction 'up'; choose from min, max"),
        ("flops/", "has no direction ''"),
        ("", "unknown objective ''"),
    ],
)
def test_an_unknown_objective_is_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(UnknownObjective) as error:
        Objective.parse(text)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_constraints_have_one_text_and_direction_plays_no_part() -> None:
    assert str(Constraint.parse("latency@fpga <= 2.50")) == "latency@fpga<=2.5"
    assert Constraint.parse("params/max>=1e-2") == Constraint.parse("params>=0.01")
    assert [str(one) for one in constraints("flops<=50+params>=0.1+flops<=50.0")] == [
        "flops<=50",
        "params>=0.1",
    ]
    assert not constraints("")
    assert not objectives("")


@pytest.mark.parametrize(
    "text", ["params", "params<0.5", "params<=", "params<=five", "<=5", "params<=nan", "params==1"]
)
def test_what_is_no_constraint_is_refused(text: str) -> None:
    with pytest.raises(InvalidConstraint, match="is not understood"):
        Constraint.parse(text)


def test_a_limit_includes_the_cell_that_it_was_read_from() -> None:
    for name in names():
        objective = Objective.parse(name)
        values = figures(objective, "cifar100")
        middle = np.flatnonzero(values == np.nanquantile(values, 0.5, method="nearest"))[0]
        assert met(
            constraints(f"{name}<={values[middle]!r}".replace("np.float64(", "").rstrip(")")), "cifar100"
        )[middle]


def test_a_constraint_that_no_cell_meets_is_refused() -> None:
    with pytest.raises(
        InvalidConstraint, match=r"no cell meets latency@edgegpu<=0\.1 on cifar10; .* between 0\.501"
    ):
        met(constraints("latency@edgegpu<=0.1"), "cifar10")
    with pytest.raises(InvalidConstraint, match="together with the others"):
        met(constraints("params<=0.1+flops>=200"), "cifar10")


def test_cells_without_a_figure_meet_no_constraint_on_it() -> None:
    assert met(constraints("latency@edgetpu>=0"), "cifar10").sum() == 15625 - 4699


def test_other_datasets_have_no_figures() -> None:
    with pytest.raises(NoCosts, match="'class_scene'; choose from cifar10, cifar100, ImageNet16-120"):
        figures(Objective("params"), "class_scene")
    assert figures(Objective("params"), "cifar10-valid")[7] == figures(Objective("params"), "cifar10")[7]


@pytest.mark.torch
@pytest.mark.parametrize("dataset", ["cifar10", "ImageNet16-120"])
def test_activations_are_those_of_the_network(dataset: str) -> None:
    import torch

    from nasgauge.harness.network import Skeleton, build, choices_of
    from nasgauge.spaces.costs import TASKS

    task = TASKS[dataset]
    for rank in (0, 7, 4_000, 9_999, 15_624):
        cell = all_cells()[rank]
        network = build(
            choices_of(cell), Skeleton(classes=task.classes, side=task.side), torch.Generator().manual_seed(0)
        )
        counted: list[int] = []

        def count(_module: object, _inputs: object, output: torch.Tensor, kept: list[int] = counted) -> None:
            kept.append(output.numel())

        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d):
                module.register_forward_hook(count)
        network.eval()(torch.zeros(1, 3, task.side, task.side))
        assert sum(counted) == activations(cell, dataset)
        assert figures(Objective("memory"), dataset)[rank] == pytest.approx(4e-6 * sum(counted))
