"""Training on an ILSVRC-2012 tree of real JPEGs: the same bytes after a stop, the same weights with two processes."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from image_tree import GREY, TRUNCATED, write_tree
from safetensors.torch import load_file
from torch import nn

from nasgauge.api.training import evaluate, measure_throughput
from nasgauge.api.training import train as ng_train
from nasgauge.cli import main
from nasgauge.data.images.folders import DamagedImages, open_folders
from nasgauge.harness.records.datasets import UnknownDataset
from nasgauge.harness.records.recipes import Recipe
from nasgauge.harness.records.trainings import read
from nasgauge.harness.training import (
    Habits,
    Machine,
    OtherTraining,
    TrainingUnit,
    WrongCheckpoint,
    train_unit,
)
from nasgauge.harness.training.feeding import epoch_generator
from nasgauge.harness.training.loaded import LoadedFolders, load
from nasgauge.harness.training.loop import Step
from nasgauge.harness.training.machine import InvalidMachine
from nasgauge.harness.training.optimizing import optimizer_for
from nasgauge.harness.training.reading import FileFeed, TooFewImages
from nasgauge.spaces.cells import Cell

ROOT = Path(__file__).resolve().parents[1]
ABOUT = {"argv": (), "commit": "", "versions": {}}
CELL = Cell.parse("|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|none~1|nor_conv_1x1~2|")
CPU = Machine(device="cpu", precision="32", threads=1, readers=0)
RECIPE = Recipe(
    name="small",
    epochs=2,
    batch=16,
    learning_rate=0.05,
    channels=4,
    cells=1,
    side=64,
    continuous=True,
    clip=5.0,
)
MODERN = replace(
    RECIPE,
    name="modern",
    average=0.9,
    average_every=2,
    decay_norms=False,
    smoothing=0.1,
    jitter=(0.4, 0.4, 0.4, 0.1),
    augmentation="trivial",
    erasing=0.2,
    mixup=0.2,
    cutmix=1.0,
)
EVERY_STEP = Habits(checkpoint_steps=1)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """67 training and 16 validation images of four classes."""
    return write_tree(tmp_path_factory.mktemp("tree"), side=72)


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("damaged"), side=72, truncated=True)


@pytest.fixture(scope="module")
def loaded(tree: Path) -> Iterator[LoadedFolders]:
    threads = torch.get_num_threads()
    yield LoadedFolders(open_folders(tree), CPU)
    torch.set_num_threads(threads)


def unit(recipe: Recipe = RECIPE, seed: int = 777) -> TrainingUnit:
    return TrainingUnit(CELL, "imagenet", recipe, seed)


# --- what a network is shown


def shown(feed: FileFeed, **how: object) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return list(feed.epoch(epoch_generator(1, 0), **how))  # type: ignore[arg-type]


def test_an_epoch_is_its_seed_alone(loaded: LoadedFolders, tree: Path) -> None:
    """With worker processes or without, in shares or whole, from the start or from a later batch."""
    feed = loaded.feed(RECIPE)
    whole = shown(feed)
    assert [len(labels) for _, labels in whole] == [16] * 4
    assert len({image.sum().item() for images, _ in whole for image in images}) == 64
    with_workers = LoadedFolders(open_folders(tree), replace(CPU, readers=2)).feed(RECIPE)
    for (images, labels), (others, their) in zip(whole, shown(with_workers), strict=True):
        assert torch.equal(images, others)
        assert torch.equal(labels, their)
    shares = shown(feed, shares=(1, 2), of=4, first=2)
    assert len(shares) == 4
    for place, (images, _) in enumerate(shares):
        assert torch.equal(images, whole[2 + place // 2][0][1 + place % 2 :: 4])


def test_a_recipe_with_fewer_images_has_all_classes(loaded: LoadedFolders) -> None:
    feed = loaded.feed(replace(RECIPE, images=8, batch=8))
    ((_, labels),) = shown(feed)
    assert set(labels.tolist()) == {0, 1, 2, 3}
    with pytest.raises(
        TooFewImages, match="67 training images do not fill a batch of 128; use a smaller batch"
    ):
        loaded.feed(replace(RECIPE, batch=128))


def test_validation_images_are_central_crops_in_order(loaded: LoadedFolders) -> None:
    ((images, labels),) = loaded.held_out(RECIPE)["valid"].batches()
    assert images.shape == (16, 3, 64, 64)
    assert labels.tolist() == np.repeat(range(4), 4).tolist()
    ((half, _),) = loaded.held_out(RECIPE)["valid"].batches(part=1, parts=2)
    assert torch.equal(half, images[1::2])


# --- the same bytes


def stop_after(steps: int) -> tuple[list[Step], object]:
    seen: list[Step] = []

    def stop(step: Step) -> None:
        seen.append(step)
        if len(seen) == steps:
            raise KeyboardInterrupt

    return seen, stop


@pytest.mark.parametrize("recipe", [RECIPE, MODERN], ids=["plain", "modern"])
def test_a_training_stopped_in_the_middle_of_an_epoch_ends_with_the_same_bytes(
    recipe: Recipe, tmp_path: Path, loaded: LoadedFolders
) -> None:
    whole = train_unit(tmp_path / "whole", unit(recipe), loaded, ABOUT, habits=EVERY_STEP)
    _, stop = stop_after(6)  # an epoch has four steps
    with pytest.raises(KeyboardInterrupt):
        train_unit(tmp_path / "stopped", unit(recipe), loaded, ABOUT, habits=EVERY_STEP, on_step=stop)  # type: ignore[arg-type]
    done: list[Step] = []
    resumed = train_unit(
        tmp_path / "stopped", unit(recipe), loaded, ABOUT, habits=EVERY_STEP, on_step=done.append
    )
    assert done[0].share == 1.5
    assert [(step.epoch, step.step) for step in done[1:]] == [(2, 3), (2, 4)]
    assert [epoch.train_loss for epoch in resumed.epochs] == [epoch.train_loss for epoch in whole.epochs]
    assert [epoch.valid_top5 for epoch in resumed.epochs] == [100.0, 100.0]  # of four classes
    weights = [unit(recipe).weights(tmp_path / name).read_bytes() for name in ("whole", "stopped")]
    assert weights[0] == weights[1]


def test_gradients_of_shares_are_those_of_the_batch(tmp_path: Path, tree: Path) -> None:
    """Without batch statistics accumulation changes nothing; with them, they are those of a share."""
    recipe = replace(RECIPE, epochs=1, norm_momentum=0.1)
    weights = {}
    for name, machine in (
        ("whole", CPU),
        ("shares", replace(CPU, per_device=8)),
        ("again", replace(CPU, per_device=8)),
    ):
        part = LoadedFolders(open_folders(tree), machine)
        train_unit(tmp_path / name, unit(recipe), part, ABOUT)
        weights[name] = load_file(unit(recipe).weights(tmp_path / name))
        assert read(unit(recipe).record(tmp_path / name)).header.shares == (1 if name == "whole" else 2)
    key = "weights.classifier.weight"
    assert torch.equal(weights["shares"][key], weights["again"][key])
    assert not torch.equal(weights["whole"][key], weights["shares"][key])
    torch.testing.assert_close(weights["whole"][key], weights["shares"][key], atol=0.05, rtol=0)


def command(tree: Path, out: Path, *more: str, cell: Cell = CELL) -> list[str]:
    options = ("-d", "imagenet", "--images", str(tree), "-r", "tiny", "--device", "cpu", "--out", str(out))
    return ["train", str(cell), *options, "--precision", "32", "--threads", "1", "--readers", "1", *more]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


UNUSED = Cell.parse("|nor_conv_1x1~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|")
"""A cell with a convolution whose output nothing uses."""


@pytest.mark.slow
@pytest.mark.parametrize("cell", [CELL, UNUSED], ids=["all used", "one unused"])
def test_two_processes_compute_what_one_does(cell: Cell, tree: Path, tmp_path: Path) -> None:
    """Weights agree to 1e-5 after four steps: the sums of the gradients differ in their order."""
    more = ("--epochs", "4", "--checkpoint-steps", "1", "--per-device", "32")
    one = run("-m", "nasgauge", *command(tree, tmp_path / "one", *more, cell=cell))
    assert one.returncode == 0, one.stderr
    start = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "nasgauge")
    two = run(*start, *command(tree, tmp_path / "two", *more[:4], cell=cell))
    assert two.returncode == 0, two.stderr
    weights, records = [], []
    for name in ("one", "two"):
        (path,) = (tmp_path / name).glob("*.weights.safetensors")
        weights.append(load_file(path))
        (path,) = (tmp_path / name).glob("*.parquet")
        records.append(read(path))
    assert [record.header.processes for record in records] == [1, 2]
    assert [record.header.shares for record in records] == [2, 1]
    for key, value in weights[0].items():
        if (
            "running" not in key and value.ndim
        ):  # statistics are averaged over processes, not one after the other
            torch.testing.assert_close(value, weights[1][key], atol=1e-5, rtol=1e-5)
    for one_epoch, two_epoch in zip(*(record.epochs for record in records), strict=True):
        assert one_epoch.train_loss == pytest.approx(two_epoch.train_loss, abs=1e-4)
        assert one_epoch.train_accuracy == pytest.approx(two_epoch.train_accuracy, abs=2)
    assert two.stdout.count("accuracy in percent") == 1


@pytest.mark.slow
def test_a_killed_command_goes_on_to_the_same_bytes(tree: Path, tmp_path: Path) -> None:
    more = ("--epochs", "20", "--checkpoint-steps", "1")
    whole = run("-m", "nasgauge", *command(tree, tmp_path / "whole", *more))
    assert whole.returncode == 0, whole.stderr
    started = subprocess.Popen(
        [sys.executable, "-m", "nasgauge", *command(tree, tmp_path / "killed", *more)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    limit = time.monotonic() + 120
    while time.monotonic() < limit and not list((tmp_path / "killed").glob("*.checkpoint.safetensors")):
        time.sleep(0.01)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    (record,) = (tmp_path / "killed").glob("*.parquet")
    assert len(read(record).epochs) < 20
    assert run("-m", "nasgauge", *command(tree, tmp_path / "killed", *more)).returncode == 0
    first, second = (next((tmp_path / name).glob("*.weights.safetensors")) for name in ("whole", "killed"))
    assert first.read_bytes() == second.read_bytes()


# --- optimisers


def test_rmsprop_and_norms_without_decay() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    recipe = replace(RECIPE, optimizer="rmsprop", weight_decay=0.1, decay_norms=False)
    optimizer = optimizer_for(network, recipe)
    assert isinstance(optimizer, torch.optim.RMSprop)
    assert [(len(group["params"]), group["weight_decay"]) for group in optimizer.param_groups] == [
        (1, 0.1),
        (3, 0.0),
    ]
    assert (optimizer.defaults["alpha"], optimizer.defaults["eps"]) == (0.9, 1.0)


# --- evaluation alone, and speed


def test_weights_are_evaluated_alone(tmp_path: Path, loaded: LoadedFolders, tree: Path) -> None:
    record = train_unit(tmp_path, unit(), loaded, ABOUT)
    weights = unit().weights(tmp_path)
    how = {"dataset": "imagenet", "images": tree, "machine": CPU}
    found = evaluate(weights, CELL, recipe=RECIPE, **how)  # type: ignore[arg-type]
    assert found["part"].tolist() == ["valid"]
    assert found["top1"][0] == record.epochs[-1].valid_accuracy
    assert found["loss"][0] == record.epochs[-1].valid_loss
    other = Cell(("skip_connect",) * 6)
    with pytest.raises(WrongCheckpoint, match=r"belongs to another training: cell .*, not \|skip_connect"):
        evaluate(weights, other, recipe=RECIPE, **how)  # type: ignore[arg-type]
    with pytest.raises(WrongCheckpoint, match=r"recipe small \(.*\), not small \("):
        evaluate(weights, CELL, recipe=replace(RECIPE, channels=8), **how)  # type: ignore[arg-type]


def test_throughput_needs_no_files() -> None:
    recipe = replace(RECIPE, epochs=3, batch=8)
    speed = measure_throughput(CELL, recipe=recipe, dataset="imagenet", machine=CPU, seconds=0.01)
    assert speed.images_per_second == pytest.approx(8 / speed.step)
    assert speed.hours == pytest.approx(3 * 1_281_160 / speed.images_per_second / 3600)
    with pytest.raises(UnknownDataset, match=r"unknown dataset 'imagenett'; .* did you mean imagenet"):
        measure_throughput(CELL, recipe=recipe, dataset="imagenett", machine=CPU, seconds=0.01)


# --- what is refused


def test_damaged_files_are_refused_or_left_out(damaged: Path, tmp_path: Path) -> None:
    with pytest.raises(DamagedImages, match=f"1 of 84 images cannot be decoded: {TRUNCATED}"):
        load("imagenet", damaged, CPU)
    skipping = load("imagenet", damaged, CPU, skip_damaged=True)
    grey = damaged / GREY
    whole = grey.read_bytes()
    try:  # breaks after the tree was read
        grey.write_bytes(whole[:300] + whole[-10:])
        with pytest.raises(DamagedImages, match=GREY):
            shown(
                LoadedFolders(open_folders(damaged, skip_damaged=True), CPU).feed(replace(RECIPE, batch=67))
            )
        recipe = replace(RECIPE, epochs=1, batch=67)
        train_unit(tmp_path, unit(recipe), skipping, ABOUT)
    finally:
        grey.write_bytes(whole)
    assert read(unit(recipe).record(tmp_path)).header.skipped == tuple(sorted((TRUNCATED, GREY)))


def test_a_damaged_image_is_not_evaluated_and_its_neighbour_once(damaged: Path) -> None:
    broken = sorted((damaged / "val").rglob("*.JPEG"))[5]
    whole = broken.read_bytes()
    skipping = load("imagenet", damaged, CPU, skip_damaged=True)
    try:  # breaks after the tree was read
        broken.write_bytes(whole[:300] + whole[-10:])
        ((images, labels),) = skipping.held_out(RECIPE)["valid"].batches()
    finally:
        broken.write_bytes(whole)
    assert len(images) == len(labels) == 15
    assert labels.tolist() == [0] * 4 + [1] * 3 + [2] * 4 + [3] * 4
    assert skipping.skipped == (TRUNCATED, f"val/{broken.relative_to(damaged / 'val')}")


def test_trees_of_other_classes_are_other_data(tmp_path: Path, loaded: LoadedFolders) -> None:
    record = train_unit(tmp_path, unit(), loaded, ABOUT)
    assert record.header.classes == 4
    fewer = write_tree(tmp_path / "fewer", side=72)
    for part in ("train", "val"):
        shutil.rmtree(sorted((fewer / part).iterdir())[0])
    with pytest.raises(OtherTraining, match="a training on other images; give another folder"):
        ng_train(CELL, recipe=RECIPE, dataset="imagenet", images=fewer, out=tmp_path, machine=CPU)
    with pytest.raises(WrongCheckpoint, match=r"another training: classes 4 \(.*\), not 3 \("):
        evaluate(unit().weights(tmp_path), CELL, recipe=RECIPE, dataset="imagenet", images=fewer, machine=CPU)


def test_a_batch_that_cannot_be_divided() -> None:
    assert Machine(per_device=96).shares(768, 8) == 1
    assert Machine(per_device=48).shares(768, 8) == 2
    with pytest.raises(
        InvalidMachine, match=r"a batch of 768 images cannot be divided among 5 processes; .* one of 1, 2,"
    ):
        Machine().shares(768, 5)
    with pytest.raises(InvalidMachine, match="among 2 processes with 100 images at once"):
        Machine(per_device=100).shares(768, 2)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--images", "nowhere"), "nowhere is no ILSVRC-2012 tree"),
        ((), "imagenet needs the folder of ILSVRC-2012 that holds train and val; give it with --images"),
        (
            ("--images", "TREE", "--per-device", "7"),
            "a batch of 64 images cannot be divided among 1 processes with 7",
        ),
        (("--images", "TREE", "--device", "cuda:9"), "no device 'cuda:9'"),
        (
            ("--images", "TREE", "--evaluate", "missing.safetensors"),
            "missing.safetensors cannot be read (No such file or directory)",
        ),
    ],
    ids=["tree", "images", "share", "device", "weights"],
)
def test_bad_input_is_one_line(
    arguments: tuple[str, ...],
    line: str,
    tree: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [str(tree) if argument == "TREE" else argument for argument in arguments]
    common = ("-d", "imagenet", "-r", "tiny", "--device", "cpu", "--out", str(tmp_path / "out"))
    monkeypatch.setattr(sys, "argv", ["nasgauge", "train", str(CELL), *common, *given])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert line in capsys.readouterr().err.splitlines()[-1]
    assert not list(tmp_path.rglob("*.parquet"))


# --- the papers' networks


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "channels", "cells", "epochs"), [("pnasnet5", 54, 3, 25), ("tenas-imagenet", 48, 4, 60)]
)
def test_the_papers_networks_learn_64_photographs_by_heart(
    name: str, channels: int, cells: int, epochs: int, tree: Path, tmp_path: Path
) -> None:
    """At the width and depth of the papers, on crops of 64 pixels, for which there is no auxiliary head."""
    recipe = Recipe(
        name="by-heart",
        epochs=epochs,
        batch=16,
        learning_rate=0.05,
        weight_decay=0,
        images=64,
        side=64,
        smallest=1.0,
        clip=5.0,
        channels=channels,
        cells=cells,
        continuous=True,
    )
    machine = Machine(device="cpu", precision="32", readers=0)
    curve = ng_train(
        name, recipe=recipe, dataset="imagenet", images=tree, out=tmp_path, machine=machine, progress=False
    )
    assert curve["train_accuracy"].iloc[-5:].max() > 95, curve["train_accuracy"].tolist()
    assert curve["train_loss"].iloc[-5:].min() < 0.3
