"""Speed of training steps of final networks against a plain loop: `pytest benchmarks/test_final_speed.py --benchmark-only`.

Ours and the plain loop take turns over the same images. CPU seconds of all threads are compared, which other programs on
the machine disturb less than wall time. The plain loop gets normalised batches for nothing.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nasgauge.harness.network import build_network
from nasgauge.harness.records.recipes import RECIPES, Recipe
from nasgauge.harness.training import Machine, Training
from nasgauge.harness.training.feeding import Augmenter, DeviceImages
from nasgauge.harness.training.units import skeleton_of
from nasgauge.spaces.architectures import PUBLISHED

CORES = 2
ROUNDS = 3
STEPS = 1
CASES = {"tenas-cifar10": ("tenas-cifar", 32, 10, 8), "pnasnet5": ("pnas-mobile", 224, 1000, 2)}
"""Recipe, side, classes and images of a batch."""


@pytest.fixture(autouse=True)
def _cores() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(CORES)
    yield
    torch.set_num_threads(before)


def network_for(name: str, recipe: Recipe, side: int, classes: int) -> nn.Module:
    return build_network(
        PUBLISHED[name], skeleton_of(recipe, classes, side), torch.Generator().manual_seed(0)
    )


def ours(network: nn.Module, recipe: Recipe, images: DeviceImages, precision: str) -> Callable[[], None]:
    fabric = Machine(device="cpu", precision=precision, threads=CORES).fabric()
    epochs = Training(network, recipe, Augmenter(images, recipe, padding=0), {}, fabric, seed=0).epochs()
    return lambda: (next(epochs), None)[1]


def plain(network: nn.Module, recipe: Recipe, images: DeviceImages, *, bfloat16: bool) -> Callable[[], None]:
    floats = images.pixels / 63.75 - 2  # mean 0.5 and deviation 0.25
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=recipe.weight_decay)
    criterion = nn.CrossEntropyLoss(label_smoothing=recipe.smoothing)

    def epoch() -> None:
        for batch, labels in zip(
            torch.split(floats, recipe.batch), torch.split(images.labels, recipe.batch), strict=True
        ):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                loss = criterion(network(batch), labels)
            loss.backward()
            if recipe.clip:
                nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
            optimizer.step()

    return epoch


@pytest.mark.parametrize("precision", ["32", "bf16"])
@pytest.mark.parametrize("name", CASES)
def test_steps_of_a_final_network(benchmark: Any, name: str, precision: str) -> None:
    """Goal: at least as fast as the plain loop in the same precision."""
    published, side, classes, batch = CASES[name]
    recipe = replace(
        RECIPES[published],
        name="speed",
        epochs=100,
        batch=batch,
        auxiliary=0.0,
        drop_path=0.0,
        optimizer="sgd",
    )
    rng = np.random.default_rng(0)
    pixels = rng.integers(256, size=(STEPS * batch, 3, side, side), dtype=np.uint8)
    labels = rng.integers(classes, size=STEPS * batch)
    images = DeviceImages.put(pixels, labels, (0.5,) * 3, (0.25,) * 3, torch.device("cpu"))
    ways = {
        "plain": plain(
            network_for(name, recipe, side, classes), recipe, images, bfloat16=precision == "bf16"
        ),
        "ours": ours(network_for(name, recipe, side, classes), recipe, images, precision),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}

    def turn() -> None:
        for way, epoch in ways.items():
            start = time.process_time()
            epoch()
            seconds[way].append(time.process_time() - start)

    benchmark.pedantic(turn, rounds=ROUNDS, warmup_rounds=1)
    median = {way: statistics.median(found[1:]) for way, found in seconds.items()}
    benchmark.extra_info["plain, CPU s a step"] = round(median["plain"] / STEPS, 3)
    benchmark.extra_info["ours, CPU s a step"] = round(median["ours"] / STEPS, 3)
    benchmark.extra_info["times the plain loop"] = round(median["plain"] / median["ours"], 2)
