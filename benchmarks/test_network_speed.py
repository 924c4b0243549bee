"""Training steps of the papers' networks beside a plain loop: `pytest benchmarks/test_network_speed.py --benchmark-only`.

Ours and the plain loop take turns, step by step. Ratios are of CPU seconds, so that other work on the machine matters
less. The plain loop has the same network, in PyTorch's own memory layout, with `torch.autocast` for bfloat16.
"""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from nasgauge.harness.network import build_network
from nasgauge.harness.records.recipes import RECIPES, Recipe
from nasgauge.harness.training import Machine, Training
from nasgauge.harness.training.throughput import FakeFeed
from nasgauge.harness.training.units import skeleton_of
from nasgauge.spaces.architectures import architecture

CORES = 1
ROUNDS = 2
CASES = {
    "tenas-cifar10": (replace(RECIPES["tenas-cifar"], batch=8), 10, 32),
    "pnasnet5": (replace(RECIPES["pnas-mobile"], batch=2), 1000, 224),
}
"""Recipe, classes and side of the images: TE-NAS's CIFAR network, and PNASNet-5 in its mobile size."""


def network(name: str, recipe: Recipe, classes: int, side: int) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    return build_network(
        architecture(name), skeleton_of(recipe, classes, side), generator, recipe.initialisation
    )


def plain(model: nn.Module, recipe: Recipe, classes: int, side: int, precision: str) -> Callable[[], None]:
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn((recipe.batch, 3, side, side), generator=generator)
    labels = torch.randint(classes, (recipe.batch,), generator=generator)
    model.train()

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            outputs = model(images)
        heads = outputs if isinstance(outputs, tuple) else (outputs,)
        loss = cross_entropy(heads[0].float(), labels)
        for logits in heads[1:]:
            loss = loss + recipe.auxiliary * cross_entropy(logits.float(), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()

    return step


def ours(model: nn.Module, recipe: Recipe, classes: int, side: int, precision: str) -> Callable[[], None]:
    fabric = Machine(device="cpu", precision=precision, threads=CORES).fabric()
    slow = replace(recipe, epochs=sys.maxsize, learning_rate=1e-3)
    feed = FakeFeed(recipe, side, classes, fabric.device, steps=1)
    epochs = Training(model, slow, feed, {}, fabric, seed=0).epochs()

    def step() -> None:
        next(epochs)

    return step


@pytest.fixture(autouse=True)
def _cores() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(CORES)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("precision", ["32", "bf16"])
@pytest.mark.parametrize("name", CASES)
def test_a_step_beside_a_plain_one(benchmark: Any, name: str, precision: str) -> None:
    """Goal: at least as fast."""
    ways = {
        "plain": plain(network(name, *CASES[name]), *CASES[name], precision),
        "ours": ours(network(name, *CASES[name]), *CASES[name], precision),
    }
    spent: dict[str, list[float]] = {way: [] for way in ways}

    def turn() -> None:
        for way, step in ways.items():
            before = time.process_time()
            step()
            spent[way].append(time.process_time() - before)

    benchmark.pedantic(turn, rounds=ROUNDS, warmup_rounds=1)
    least = {way: min(seconds[1:]) for way, seconds in spent.items()}
    for way, seconds in least.items():
        benchmark.extra_info[f"{way}, CPU seconds a step"] = round(seconds, 3)
    benchmark.extra_info["times the plain loop"] = round(least["plain"] / least["ours"], 2)
