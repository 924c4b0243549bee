"""Images decoded and augmented a second: `pytest benchmarks/test_input_speed.py --benchmark-only`.

Ours and the usual pipeline take turns on the same files and the same number of worker processes. Both end with a
normalised batch of floats on the CPU. Rates are for a CPU second, with the worker processes counted, so that other work
on the machine matters less.
"""

import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib import cbook
from PIL import Image
from sklearn.datasets import load_sample_images
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from nasgauge.data.images.folders import DEVIATION, MEAN
from nasgauge.harness.records.recipes import RECIPES
from nasgauge.harness.training import Machine
from nasgauge.harness.training.feeding import epoch_generator
from nasgauge.harness.training.loaded import load

WORKERS = 2
IMAGES = 384
BATCH = 64
ROUNDS = 4
LONGER, SHORTER = 500, 375
"""The usual size of a photograph of ILSVRC-2012; its files have 110 kB on average (138 GB, 1.28 million images)."""


def photographs() -> list[Image.Image]:
    """Real photographs that packages bring along: two of scikit-learn, one of Matplotlib."""
    found = [Image.fromarray(image) for image in load_sample_images().images]
    place = cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    found.append(Image.open(str(place)).convert("RGB"))
    return found


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Crops of the photographs in the usual size, at JPEG qualities that give files of the usual size."""
    folder = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(0)
    pictures = photographs()
    sizes = []
    for part, count in (("train", IMAGES), ("val", 2)):
        for number in range(count):
            picture = pictures[number % len(pictures)]
            wide = picture.width > picture.height
            width, height = (LONGER, SHORTER) if wide else (SHORTER, LONGER)
            share = rng.uniform(0.8, 1.0)
            cut = (picture.width * share, picture.height * share)
            left, top = (rng.uniform(0, whole - part) for whole, part in zip(picture.size, cut, strict=True))
            box = (left, top, left + cut[0], top + cut[1])
            place = folder / part / f"n{number % 2}" / f"{number}.JPEG"
            place.parent.mkdir(parents=True, exist_ok=True)
            resized = picture.resize((width, height), Image.Resampling.LANCZOS, box=box)
            resized.save(place, quality=int(rng.integers(96, 100)), subsampling="4:2:0")
            sizes.append(place.stat().st_size)
    print(f"{np.mean(sizes) / 1e3:.0f} kB a file")  # noqa: T201
    return folder


def usual(tree: Path) -> Callable[[], None]:
    """ImageFolder with the transforms that ImageNet trainings usually have."""
    transform = transforms.Compose(
        [
            transforms.RandomResizedCrop(224),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, DEVIATION),
        ]
    )
    loader = DataLoader(
        datasets.ImageFolder(str(tree / "train"), transform),
        batch_size=BATCH,
        shuffle=True,
        num_workers=WORKERS,
    )

    def epoch() -> None:
        assert sum(len(labels) for _, labels in loader) == IMAGES

    return epoch


def ours(tree: Path) -> Callable[[], None]:
    recipe = replace(RECIPES["tiny"], batch=BATCH, images=None, side=224)
    feed = load("imagenet", tree, Machine(device="cpu", precision="32", readers=WORKERS)).feed(recipe)

    def epoch() -> None:
        assert sum(len(labels) for _, labels in feed.epoch(epoch_generator(0, 0))) == IMAGES

    return epoch


def cpu_seconds() -> float:
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in spent)


def test_images_a_second(benchmark: Any, tree: Path) -> None:
    """Goal: at least 1.3 times as many as the usual pipeline, for each CPU second."""
    torch.set_num_threads(1)
    ways = {"usual": usual(tree), "ours": ours(tree)}
    spent: dict[str, list[float]] = {name: [] for name in ways}

    def turn() -> None:
        for name, epoch in ways.items():
            before = cpu_seconds()
            epoch()
            spent[name].append(cpu_seconds() - before)

    benchmark.pedantic(turn, rounds=ROUNDS, warmup_rounds=1)
    rate = {name: IMAGES / min(seconds[1:]) for name, seconds in spent.items()}
    for name, value in rate.items():
        benchmark.extra_info[f"{name}, images a CPU second"] = round(value)
    benchmark.extra_info["times the usual pipeline"] = round(rate["ours"] / rate["usual"], 2)
