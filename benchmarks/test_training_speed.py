"""Speed of a training step against a plain loop: `pytest benchmarks/test_training_speed.py --benchmark-only`.

Ours and the plain loop take turns, epoch by epoch, so that both see the same machine.
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # the reference stands beside this file

import reference_training

from nasgauge.data.images import Splits, open_splits
from nasgauge.harness.network import Skeleton, build, choices_of
from nasgauge.harness.records.recipes import RECIPES
from nasgauge.harness.training import Machine, Training
from nasgauge.harness.training.feeding import Augmenter, epoch_generator
from nasgauge.harness.training.loaded import LoadedSplits
from nasgauge.spaces.cells import Cell

CORES = 2
ROUNDS = 3
CELLS = {
    "smallest": "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|none~0|nor_conv_1x1~1|none~2|",
    "pools": "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
    "best": "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|",
}
"""Of the benchmark: 11.7, 15.7 and 220 million multiply-adds; the last is the most accurate but one."""


@pytest.fixture(scope="module")
def splits() -> Iterator[Splits]:
    before = torch.get_num_threads()
    torch.set_num_threads(CORES)
    yield open_splits("made-up")
    torch.set_num_threads(before)


def network(cell: str) -> torch.nn.Module:
    return build(choices_of(Cell.parse(cell)), Skeleton(), torch.Generator().manual_seed(0))


def ours(cell: str, splits: Splits, precision: str) -> Callable[[], None]:
    loaded = LoadedSplits(splits, Machine(device="cpu", precision=precision, threads=CORES))
    recipe = replace(RECIPES["nb201-12"], epochs=100)
    feed = Augmenter(loaded.train, recipe, padding=splits.preparation.padding)
    epochs = Training(network(cell), recipe, feed, {}, loaded.fabric, seed=0).epochs()

    def epoch() -> None:
        next(epochs)

    return epoch


@pytest.mark.parametrize("cell", CELLS)
def test_images_a_second(benchmark: Any, cell: str, splits: Splits) -> None:
    """Goal: 1.5 times as many as the plain loop, batch 256."""
    ways: dict[str, Callable[[], None]] = {
        "plain": reference_training.epochs(network(CELLS[cell]), splits, 256),
        "float32": ours(CELLS[cell], splits, "32"),
        "bfloat16": ours(CELLS[cell], splits, "bf16"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}

    def turn() -> None:
        for name, epoch in ways.items():
            start = time.perf_counter()
            epoch()
            seconds[name].append(time.perf_counter() - start)

    benchmark.pedantic(turn, rounds=ROUNDS, warmup_rounds=1)
    median = {name: statistics.median(found[1:]) for name, found in seconds.items()}
    for name, value in median.items():
        benchmark.extra_info[f"{name}, images/s"] = round(len(splits.train) / value)
        benchmark.extra_info[f"{name}, times the plain loop"] = round(median["plain"] / value, 2)


def test_augmentation_is_a_small_part_of_a_step(benchmark: Any, splits: Splits) -> None:
    """Goal: under 5 % of the fastest cell's step."""
    loaded = LoadedSplits(splits, Machine(device="cpu", precision="bf16", threads=CORES))
    feed = Augmenter(loaded.train, RECIPES["nb201-12"], padding=splits.preparation.padding)
    epoch = ours(CELLS["smallest"], splits, "bf16")
    epoch()
    start = time.perf_counter()
    epoch()
    whole = time.perf_counter() - start

    def feed_alone() -> None:
        for _ in feed.epoch(epoch_generator(0, 0)):
            pass

    benchmark.pedantic(feed_alone, rounds=10, warmup_rounds=2)
    benchmark.extra_info["share of a step, %"] = round(100 * benchmark.stats["median"] / whole, 2)
