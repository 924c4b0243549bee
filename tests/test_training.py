"""Real training: what a network is shown, how it is trained, and that a training can be got again."""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from nasgauge.data.images import open_splits
from nasgauge.data.storage import Store
from nasgauge.harness.network import Skeleton, build, build_network, choices_of
from nasgauge.harness.network.inputs import InvalidBatch
from nasgauge.harness.records.recipes import RECIPES, InvalidRecipe, Recipe, UnknownRecipe, recipe_named
from nasgauge.harness.records.trainings import (
    DamagedTraining,
    Epoch,
    TrainingHeader,
    TrainingRecord,
    read,
    write,
)
from nasgauge.harness.training import (
    Habits,
    Machine,
    OtherTraining,
    Trainer,
    Training,
    TrainingDiverged,
    TrainingUnit,
    WrongCheckpoint,
    running,
    train_unit,
)
from nasgauge.harness.training.feeding import Augmenter, DeviceImages, epoch_generator
from nasgauge.harness.training.loaded import LoadedSplits, identity_of
from nasgauge.harness.training.machine import InvalidMachine
from nasgauge.harness.training.many import machines, train_units
from nasgauge.harness.training.pools import ConvolvedPool
from nasgauge.harness.training.trainer import NothingToSearchOn
from nasgauge.searchers.pnas import PNAS
from nasgauge.spaces.block_cells import OPERATORS, BlockCell
from nasgauge.spaces.block_spaces import BlockSpace
from nasgauge.spaces.cells import Cell

ROOT = Path(__file__).resolve().parents[1]
ABOUT = {"argv": (), "commit": "", "versions": {}}
CELL = Cell.parse("|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|none~1|nor_conv_1x1~2|")
OTHER = Cell.parse("|skip_connect~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|")
QUICK = replace(RECIPES["tiny"], name="quick", epochs=3, images=256)
CPU = Machine(device="cpu", precision="32", threads=1)
MEASURED = {"images_per_second", "seconds", "peak_memory"}


@pytest.fixture(scope="module")
def loaded() -> Iterator[LoadedSplits]:
    threads = torch.get_num_threads()
    yield LoadedSplits(open_splits("made-up"), CPU)
    torch.set_num_threads(threads)


def figures(record: TrainingRecord) -> list[dict[str, float]]:
    """All that does not depend on how fast the machine was; NaN as text, for it equals nothing."""
    return [
        {name: value if value == value else "NaN" for name, value in epoch._asdict().items()}  # type: ignore[misc]
        | dict.fromkeys(MEASURED, 0.0)
        for epoch in record.epochs
    ]


# --- recipes


def test_the_benchmarks_recipe_is_in_every_number() -> None:
    for name, epochs in (("nb201-12", 12), ("nb201-200", 200)):
        recipe = RECIPES[name]
        assert recipe == Recipe(
            name=name, epochs=epochs, learning_rate=0.1, momentum=0.9, weight_decay=5e-4, batch=256
        )
        assert (recipe.cutout, recipe.smoothing, recipe.average, recipe.warm_up) == (0, 0, 0, 0)
        rates = [recipe.rate(epoch) for epoch in range(epochs)]
        assert rates[0] == 0.1
        assert all(later < rate for rate, later in pairwise(rates))
        assert recipe.rate(epochs) == pytest.approx(0, abs=1e-12)
        assert recipe.rate(epochs // 4) == pytest.approx(0.05 * (1 + math.sqrt(0.5)))


def test_the_learning_rate_of_tenas_warms_up_as_in_the_authors_code() -> None:
    """lr (epoch + 1) / 5 in the first five epochs, then the cosine over all 250, which began with the first epoch."""
    recipe = RECIPES["tenas-imagenet"]
    assert [recipe.rate(epoch) for epoch in range(5)] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    assert recipe.rate(5) == pytest.approx(0.25 * (1 + math.cos(math.pi * 5 / 250)))
    assert RECIPES["modern"].rate(5) == 0.5


@pytest.mark.parametrize(("name", "images"), [("modern", 1_281_167), ("long", 50_000)])
def test_an_average_forgets_the_first_weights(name: str, images: int) -> None:
    recipe = RECIPES[name]
    updates = recipe.epochs * (images // recipe.batch) / recipe.average_every
    assert recipe.average**updates < 1e-6
    assert recipe_named(name, epochs=recipe.epochs // 10).average == pytest.approx(10 * recipe.average - 9)


def test_a_recipe_of_another_length_has_another_name() -> None:
    assert recipe_named("nb201-12", epochs=3).name == "nb201-12x3"
    assert recipe_named("nb201-12", epochs=12).name == "nb201-12"
    with pytest.raises(UnknownRecipe, match="did you mean nb201-12"):
        recipe_named("nb201-21")


@pytest.mark.parametrize(
    "wrong",
    [{"epochs": 0}, {"batch": 0}, {"learning_rate": 0.0}, {"average": 1.0}, {"warm_up": 2}, {"images": 1}],
    ids=str,
)
def test_a_recipe_cannot_be_wrong(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidRecipe):
        Recipe(**({"name": "wrong", "epochs": 2} | wrong))  # type: ignore[arg-type]


# --- what a network is shown


def bytes_of(count: int, side: int = 32) -> DeviceImages:
    """Images whose label is their place, shown as the bytes that they are."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, 3, side, side), dtype=np.uint8)
    grey, one = (0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)
    return DeviceImages.put(pixels, np.arange(count), grey, one, torch.device("cpu"))


def test_every_image_is_shown_once_shifted_and_perhaps_flipped() -> None:
    images, padding = bytes_of(50), 4
    feed = Augmenter(images, replace(QUICK, batch=16, images=None), padding=padding)
    shown = {
        int(label): image
        for batch in feed.epoch(epoch_generator(3, 0))
        for image, label in zip(*batch, strict=False)
    }
    assert sorted(shown) == list(range(50))
    flips, shifts = 0, set()
    for place, image in shown.items():
        framed = np.pad(images.pixels[place].numpy(), ((0, 0), (padding,) * 2, (padding,) * 2))
        found = [
            (flip, down, right)
            for flip in (False, True)
            for down in range(2 * padding + 1)
            for right in range(2 * padding + 1)
            if np.array_equal(
                framed[:, down : down + 32, right : right + 32][:, :, :: -1 if flip else 1], image.numpy()
            )
        ]
        assert len(found) == 1
        flips += found[0][0]
        shifts.add(found[0][1:])
    assert 12 < flips < 38
    assert len(shifts) > 30


def test_an_epoch_is_its_seeds_alone_however_many_processes_share_it() -> None:
    feed = Augmenter(bytes_of(70), replace(QUICK, batch=16, images=None), padding=4)

    def labels(seed: int, epoch: int) -> list[list[int]]:
        return [labels.tolist() for _, labels in feed.epoch(epoch_generator(seed, epoch))]

    assert labels(1, 0) == labels(1, 0)
    assert labels(1, 0) != labels(1, 1) != labels(2, 1)
    whole = list(feed.epoch(epoch_generator(1, 0)))
    halves = [list(feed.epoch(epoch_generator(1, 0), shares=(share,), of=2)) for share in range(2)]
    for (images, _), (first, _), (second, _) in zip(whole, *halves, strict=True):
        assert torch.equal(images[0::2], first)
        assert torch.equal(images[1::2], second)


def test_a_cut_is_a_square_of_mean_colour() -> None:
    images = bytes_of(40)
    feed = Augmenter(images, replace(QUICK, batch=40, images=None, cutout=16), padding=0)
    batch, _ = next(feed.epoch(epoch_generator(0, 0)))
    areas = (batch == 0).all(1).sum((1, 2))
    assert areas.max() == 256  # whole inside the image
    assert 64 <= areas.min() < 256  # a quarter of it, where its centre is a corner


def test_images_are_normalised_to_mean_0_and_deviation_1(loaded: LoadedSplits) -> None:
    shown = torch.cat([images for images, _ in loaded.train.batches()])
    assert shown.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(shown.mean((0, 2, 3)), torch.zeros(3), atol=1e-3, rtol=0)
    torch.testing.assert_close(shown.std((0, 2, 3)), torch.ones(3), atol=1e-3, rtol=0)


@pytest.mark.parametrize("side", [1, 2, 3, 8])
def test_a_convolved_pool_is_the_average_pool(side: int) -> None:
    images = torch.randn(2, 4, side, side, dtype=torch.float64, requires_grad=True)
    pools = nn.AvgPool2d(3, 1, 1, count_include_pad=False), ConvolvedPool()
    ours, theirs = (pool(images) for pool in pools)
    torch.testing.assert_close(ours, theirs)
    weights = torch.randn_like(ours)
    gradients = [torch.autograd.grad((out * weights).sum(), images)[0] for out in (ours, theirs)]
    torch.testing.assert_close(*gradients)


# --- the loop


def plain_loop(unit: TrainingUnit, loaded: LoadedSplits, network: nn.Module) -> list[Tensor]:
    """What a training is, in the fewest words: contiguous, torch's own pools and optimizer."""
    recipe = unit.recipe
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    feed = Augmenter(loaded.train, recipe, padding=4)
    for epoch in range(recipe.epochs):
        for group in optimizer.param_groups:
            group["lr"] = 0.05 * (1 + math.cos(math.pi * epoch / recipe.epochs))
        for images, labels in feed.epoch(epoch_generator(unit.seed, epoch)):
            optimizer.zero_grad()
            cross_entropy(network(images.double().contiguous()), labels).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return list(network.parameters())


def test_the_loop_does_what_a_plain_loop_does(loaded: LoadedSplits) -> None:
    unit = TrainingUnit(CELL, "made-up", replace(QUICK, epochs=2, images=128), 5)
    networks = [
        build(choices_of(CELL), Skeleton(channels=4, cells=1), torch.Generator().manual_seed(0))
        for _ in range(2)
    ]
    feed = Augmenter(loaded.train, unit.recipe, padding=4)
    exact = Fabric(accelerator="cpu", devices=1, precision="64-true")
    training = Training(networks[0], unit.recipe, feed, {}, exact, seed=5)
    assert len(list(training.epochs())) == 2
    for ours, plain in zip(
        networks[0].parameters(), plain_loop(unit, loaded, networks[1].double()), strict=True
    ):
        torch.testing.assert_close(ours.detach(), plain.detach(), rtol=1e-4, atol=1e-5)


def test_a_network_learns_and_its_record_tells_how(tmp_path: Path, loaded: LoadedSplits) -> None:
    recipe = replace(QUICK, epochs=6, images=None)
    unit = TrainingUnit(CELL, "made-up", recipe, 777)
    record = train_unit(tmp_path, unit, loaded, ABOUT)
    assert read(unit.record(tmp_path)) == record or figures(read(unit.record(tmp_path))) == figures(record)
    assert record.finished
    first, last = record.epochs[0], record.epochs[-1]
    assert last.train_loss < first.train_loss
    assert min(last.train_accuracy, last.valid_accuracy, last.test_accuracy) > 25  # 10 by chance
    assert math.isnan(first.test_accuracy)  # test images are looked at once
    assert [epoch.learning_rate for epoch in record.epochs] == [recipe.rate(epoch) for epoch in range(6)]
    assert record.header.parameters == sum(
        value.numel()
        for value in build(choices_of(CELL), Skeleton(channels=4, cells=1), torch.Generator()).parameters()
    )
    weights = load_file(tmp_path / f"{unit.name}.weights.safetensors")
    assert weights["weights.classifier.weight"].shape == (10, 16)
    assert {path.suffix for path in tmp_path.iterdir() if path.is_file()} == {".parquet", ".safetensors"}
    assert not list(tmp_path.glob("*.checkpoint.*"))


@pytest.mark.parametrize(
    "recipe",
    [QUICK, replace(QUICK, cutout=8, smoothing=0.1, average=0.9, warm_up=1)],
    ids=["plain", "averaged"],
)
def test_a_training_that_was_stopped_ends_as_if_it_was_not(
    recipe: Recipe, tmp_path: Path, loaded: LoadedSplits
) -> None:
    unit = TrainingUnit(CELL, "made-up", recipe, 777)
    whole = train_unit(tmp_path / "whole", unit, loaded, ABOUT)

    def stop(epoch: Epoch) -> None:
        if epoch.epoch == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_unit(tmp_path / "stopped", unit, loaded, ABOUT, on_epoch=stop)
    assert unit.epochs_done(tmp_path / "stopped") == 2
    trained = list[int]()
    resumed = train_unit(
        tmp_path / "stopped", unit, loaded, ABOUT, on_epoch=lambda epoch: trained.append(epoch.epoch)
    )
    assert trained == [3]
    assert figures(resumed) == figures(whole)
    kept = [
        (tmp_path / name / f"{unit.name}.weights.safetensors").read_bytes() for name in ("whole", "stopped")
    ]
    assert kept[0] == kept[1]
    train_unit(tmp_path / "whole", unit, loaded, ABOUT, on_epoch=trained.append)  # type: ignore[arg-type]
    assert trained == [3], "a finished training is left alone"


def test_an_average_is_a_copy_until_the_warm_up_is_over(loaded: LoadedSplits) -> None:
    recipe = replace(QUICK, average=0.9, warm_up=1, epochs=2)
    network = build(choices_of(CELL), Skeleton(channels=4, cells=1), torch.Generator().manual_seed(0))
    feed = Augmenter(loaded.train, recipe, padding=4)
    training = Training(network, recipe, feed, {}, loaded.fabric, seed=5)
    same = []
    for _ in training.epochs():
        state = training.state()
        same.append(
            torch.equal(state["weights.classifier.weight"], state["average.module.classifier.weight"])
        )
    assert same == [True, False]


def scaled() -> Fabric:
    """Training in float16, whose losses are scaled; on a CPU, which `Machine` refuses because it is slow."""
    precision = MixedPrecision("16-mixed", device="cpu", scaler=torch.amp.GradScaler("cpu"))
    return Fabric(accelerator="cpu", devices=1, plugins=precision)


def test_float16_clips_unscaled_gradients_and_keeps_the_scale_in_its_checkpoint(loaded: LoadedSplits) -> None:
    recipe = replace(QUICK, clip=1.0, epochs=2, images=128)

    def training(fabric: Fabric) -> Training:
        network = build(choices_of(CELL), Skeleton(channels=4, cells=1), torch.Generator().manual_seed(0))
        return Training(network, recipe, Augmenter(loaded.train, recipe, padding=4), {}, fabric, seed=5)

    fabric = scaled()
    whole = training(fabric)
    epochs = whole.epochs()
    next(epochs)
    half = whole.state()
    assert half["scale._growth_tracker"] == whole.steps
    assert len(list(epochs)) == 1
    resumed = training(scaled())
    resumed.restore(half, 1)
    assert len(list(resumed.epochs())) == 1
    for (name, value), other in zip(whole.state().items(), resumed.state().values(), strict=True):
        assert torch.equal(value, other), name
    assert training(fabric).state()["scale._growth_tracker"] == 0, "another training begins anew"


def test_another_seed_is_another_training(tmp_path: Path, loaded: LoadedSplits) -> None:
    recipe = replace(QUICK, epochs=1, images=128)
    records = [
        train_unit(tmp_path / str(run), TrainingUnit(CELL, "made-up", recipe, seed), loaded, ABOUT)
        for run, seed in enumerate((1, 1, 2))
    ]
    assert figures(records[0]) == figures(records[1]) != figures(records[2])


def test_several_workers_bring_the_same_figures(tmp_path: Path) -> None:
    recipe = replace(QUICK, epochs=1, images=128)
    units = [TrainingUnit(cell, "made-up", recipe, seed) for cell in (CELL, OTHER) for seed in (1, 2)]
    for folder, places in (("one", [CPU]), ("two", [CPU, CPU])):
        done = list(train_units(tmp_path / folder, units, places, ABOUT))
        assert sorted(unit.name for unit, _ in done) == sorted(unit.name for unit in units)
    for unit in units:
        one, two = (read(unit.record(tmp_path / folder)) for folder in ("one", "two"))
        assert figures(one) == figures(two)


def test_a_gradient_in_bfloat16_points_where_that_in_float32_does(loaded: LoadedSplits) -> None:
    images, labels = next(replace(loaded.train, size=64).batches())
    gradients = []
    for fabric in (loaded.fabric, replace(CPU, precision="bf16").fabric()):
        network = build(choices_of(CELL), Skeleton(cells=1), torch.Generator().manual_seed(0))
        training = Training(network, QUICK, Augmenter(loaded.train, QUICK, padding=4), {}, fabric, seed=0)
        with fabric.autocast():
            loss = cross_entropy(training.network(images).float(), labels)
        fabric.backward(loss)
        gradients.append(
            torch.cat([weight.grad.flatten() for weight in network.parameters() if weight.grad is not None])
        )
    exact, short = gradients
    assert exact.dot(short) / (exact.norm() * short.norm()) > 0.99
    assert exact.dot(short) / exact.dot(exact) == pytest.approx(1, abs=0.02)


@pytest.mark.slow
def test_bfloat16_learns_as_well(tmp_path: Path) -> None:
    recipe = replace(QUICK, epochs=6, images=None)
    unit = TrainingUnit(CELL, "made-up", recipe, 777)
    half = LoadedSplits(open_splits("made-up"), replace(CPU, precision="bf16"))
    assert train_unit(tmp_path, unit, half, ABOUT).epochs[-1].train_accuracy > 25


# --- what goes wrong


@pytest.mark.parametrize("clip", [0.0, 5.0])
def test_a_loss_that_is_not_finite_ends_the_training(
    clip: float, tmp_path: Path, loaded: LoadedSplits
) -> None:
    unit = TrainingUnit(CELL, "made-up", replace(QUICK, learning_rate=1e30, clip=clip), 0)
    with pytest.raises(
        TrainingDiverged, match="is not finite in epoch 1 at learning rate 1e\\+30; train in another"
    ):
        train_unit(tmp_path, unit, loaded, ABOUT)
    assert unit.finished(tmp_path) is None


def test_a_checkpoint_is_never_replaced_by_one_that_diverged(
    tmp_path: Path, loaded: LoadedSplits, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = TrainingUnit(CELL, "made-up", replace(QUICK, continuous=True), 0)
    monkeypatch.setattr(Recipe, "rate", lambda _recipe, epoch: 0.01 if epoch < 0.5 else math.inf)
    with pytest.raises(TrainingDiverged, match="is not finite in epoch 1"):
        train_unit(tmp_path, unit, loaded, ABOUT, habits=Habits(checkpoint_steps=1))
    kept = load_file(unit.checkpoint(tmp_path))
    assert int(kept["epoch.step"]) == 2  # of four
    assert all(value.isfinite().all() for value in kept.values())


def test_a_finished_record_has_weights(
    tmp_path: Path, loaded: LoadedSplits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the two, the last epoch is trained again, to the same weights."""
    unit = TrainingUnit(CELL, "made-up", QUICK, 0)

    def killed(path: Path, header: TrainingHeader, epochs: Sequence[Epoch]) -> None:
        if len(epochs) == QUICK.epochs:
            raise KeyboardInterrupt
        write(path, header, epochs)

    with monkeypatch.context() as patch:
        patch.setattr(running, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            train_unit(tmp_path, unit, loaded, ABOUT)
    assert unit.finished(tmp_path) is None
    before = unit.weights(tmp_path).read_bytes()
    assert train_unit(tmp_path, unit, loaded, ABOUT).finished
    assert unit.weights(tmp_path).read_bytes() == before


def test_a_record_of_other_images_is_no_answer(tmp_path: Path, loaded: LoadedSplits) -> None:
    unit = TrainingUnit(CELL, "made-up", replace(QUICK, epochs=1, images=64), 0)
    train_unit(tmp_path, unit, loaded, ABOUT)
    assert unit.finished(tmp_path, identity_of(loaded))
    with pytest.raises(OtherTraining, match="a training on other images; give another folder"):
        unit.finished(tmp_path, identity_of(loaded)._replace(images_sha256="0" * 64))
    with pytest.raises(OtherTraining, match="on seeded splits, here they are official; give another folder"):
        unit.finished(tmp_path, identity_of(loaded)._replace(splits="official"))


def test_a_checkpoint_of_another_training_is_refused_and_kept(tmp_path: Path, loaded: LoadedSplits) -> None:
    unit = TrainingUnit(CELL, "made-up", QUICK, 1)

    def stop(epoch: Epoch) -> None:
        if epoch.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_unit(tmp_path, unit, loaded, ABOUT, on_epoch=stop)
    mine = tmp_path / f"{unit.name}.checkpoint.safetensors"
    for other in (TrainingUnit(OTHER, "made-up", QUICK, 1), TrainingUnit(CELL, "made-up", QUICK, 2)):
        theirs = tmp_path / f"{other.name}.checkpoint.safetensors"
        theirs.write_bytes(mine.read_bytes())
        other.record(tmp_path).write_bytes(unit.record(tmp_path).read_bytes())
        with pytest.raises(OtherTraining, match="give another folder"):
            train_unit(tmp_path, other, loaded, ABOUT)
        assert theirs.read_bytes() == mine.read_bytes()
    changed = replace(unit, recipe=replace(QUICK, learning_rate=0.2))  # of the same name
    with pytest.raises(OtherTraining):
        train_unit(tmp_path, changed, loaded, ABOUT)
    mine.write_bytes(mine.read_bytes()[:-100])
    with pytest.raises(WrongCheckpoint, match="not a complete checkpoint"):
        train_unit(tmp_path, unit, loaded, ABOUT)
    unit.record(tmp_path).write_bytes(b"PAR1")
    with pytest.raises(DamagedTraining, match="remove it"):
        train_unit(tmp_path, unit, loaded, ABOUT)


def test_the_papers_own_cells_are_searched_by_real_training(tmp_path: Path, loaded: LoadedSplits) -> None:
    """Twelve cells of one block, then the best of their children, all trained."""
    recipe = replace(QUICK, epochs=1, images=64)
    trainer = Trainer(Store(tmp_path), loaded, recipe, 777, ABOUT)
    space = BlockSpace(2)
    searcher = PNAS(space, np.random.default_rng(0), beam=136, surrogate="forest")
    searcher._pool = searcher._pool[::13]  # all 136 cells of a block would take a minute
    asked = list[BlockCell]()
    while len(asked) < 14:
        for cell in searcher.ask()[: 14 - len(asked)]:
            searcher.tell(cell, trainer.evaluate(cell).validation)
            asked.append(cell)
    assert [len(cell.blocks) for cell in asked] == [1] * 11 + [2] * 3
    records = [read(path) for path in (tmp_path / "trained").glob("*.parquet")]
    assert {record.header.cell for record in records} == set(map(str, asked))
    assert all(record.finished for record in records)


def test_a_network_of_blocks_halves_twice_and_joins_all_its_blocks() -> None:
    every = " | ".join(f"{name}(h1)+{name}(h2)" for name in OPERATORS)
    network = build_network(BlockCell.parse(every), Skeleton(channels=2, cells=2), torch.Generator())
    shapes = list[tuple[int, ...]]()
    assert isinstance(network.body, nn.ModuleList)
    for module in network.body:
        module.register_forward_hook(lambda _module, _inputs, output: shapes.append(tuple(output.shape)))
    logits = network(torch.randn(2, 3, 32, 32))
    assert shapes == [(2, 16, 32, 32)] * 2 + [(2, 32, 16, 16)] * 2 + [(2, 64, 8, 8)] * 2
    logits.sum().backward()
    assert all(weight.grad is not None for weight in network.parameters())


def test_without_validation_images_there_is_nothing_to_search_on(tmp_path: Path) -> None:
    trained_on_all = LoadedSplits(replace(open_splits("made-up"), valid=None), CPU)
    with pytest.raises(NothingToSearchOn, match="choose cifar10-valid"):
        Trainer(Store(tmp_path), trained_on_all, QUICK, 777, ABOUT)


def test_devices_that_are_not_there() -> None:
    with pytest.raises(InvalidBatch, match="no device 'cuda:7'"):
        Machine(device="cuda:7").resolved()
    with pytest.raises(
        InvalidMachine, match="cuda:1 is one GPU, and 2 processes need one each; give the device cuda"
    ):
        Machine(device="cuda:1", processes=2).resolved()
    with pytest.raises(InvalidMachine, match="choose from auto, 32, bf16, 16"):
        Machine(precision="64")
    with pytest.raises(InvalidMachine, match="choose the precision bf16 or 32"):
        Machine(device="cpu", precision="16").resolved()
    assert [place.threads for place in machines(Machine(device="cpu", threads=2), 3)] == [2, 2, 2]


def test_no_more_machines_than_trainings() -> None:
    here = Machine(device="cpu", precision="32", threads=1)
    assert len(machines(here, workers=8, most=2)) == 2
    (alone,) = machines(here, workers=0, most=5)
    cores = alone.readers
    assert cores == len(os.sched_getaffinity(0))
    assert [place.readers for place in machines(here, workers=2)] == [max(cores // 2, 1)] * 2
    assert [place.readers for place in machines(replace(here, readers=7), workers=2)] == [7, 7]
