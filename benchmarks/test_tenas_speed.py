"""Speed of TE-NAS against a plain one-by-one loop: `pytest benchmarks/test_ntk.py --benchmark-only -s`."""

import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))  # the reference stands beside this file

import reference_ntk

from data.images import augmented, crops, open_images
from harness.network import Choices, build, choices_of
from harness.ntk import Workspace
from harness.proxies.judge import KAPPA, REGIONS, Judge
from harness.proxies.tenas import kappa, regions
from harness.spaces import NB201
from searchers.pruning import NB201_SUPERNET, PRESETS, Removal, prune, without

CORES = 2
CANDIDATES = (24, 18, 12)  # of the three rounds
REPEATS = 3


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def batch(size: int) -> Tensor:
    return augmented(open_images(), size, torch.Generator().manual_seed(0))[0]


def supernets() -> list[Choices]:
    """What a round may start from: four, three and two operations on every edge."""
    return [tuple(edge[:left] for edge in (NB201_SUPERNET[0][::-1],) * 6) for left in (4, 3, 2)]


def reference_seconds(images: Tensor) -> float:
    """A whole search by the loop, from one candidate of each round: each is two kernels, three times."""
    torch.set_num_threads(CORES)
    total = 0.0
    for choices, candidates in zip(supernets(), CANDIDATES, strict=True):
        start = time.perf_counter()
        for network_choices in (choices, without(choices, Removal(0, choices[0][0]))):
            network = build(network_choices, KAPPA, torch.Generator().manual_seed(0))
            reference_ntk.condition_number(network, images)
        total += (time.perf_counter() - start) * candidates * REPEATS
    return total


def peak_mb() -> float:
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return float(found[1]) / 1024 if found else float("nan")


def test_one_kernel_of_the_first_supernet(benchmark: Any) -> None:
    """Batch 72, one core: the loop beside the kernel of all rows at once."""
    torch.set_num_threads(1)
    images = batch(72)
    network = build(NB201_SUPERNET, KAPPA, torch.Generator().manual_seed(0))
    start = time.perf_counter()
    expected = reference_ntk.condition_number(network, images)
    loop = time.perf_counter() - start
    workspace = Workspace()
    found = benchmark.pedantic(kappa, (network, images, workspace), rounds=3, warmup_rounds=1)
    assert found == pytest.approx(expected, rel=1e-2)  # the loop's float32 is good for two to four digits
    benchmark.extra_info["loop, s"] = loop
    benchmark.extra_info["times faster"] = loop / benchmark.stats["median"]


@pytest.mark.parametrize("preset", ["paper", "released"])
def test_a_whole_search(benchmark: Any, preset: str) -> None:
    """Goals: released 5 times faster than the loop, 10 as the aim, under 1.5 GB; paper under 300 s."""
    settings = PRESETS[preset]
    images = open_images()
    judge = Judge(settings, 0, images=images, workers=CORES)
    benchmark.pedantic(lambda: prune(judge), rounds=1)
    ours = benchmark.stats["median"]
    benchmark.extra_info["peak memory, MB"] = peak_mb()
    loop = reference_seconds(batch(settings.batch))
    benchmark.extra_info["loop, s (from one candidate of each round)"] = loop
    benchmark.extra_info["times faster"] = loop / ours


def test_one_cell(benchmark: Any) -> None:
    """Goal: kappa and regions of one cell under 1 s on one core at batch 32."""
    torch.set_num_threads(1)
    images, workspace = batch(32), Workspace()
    rng, space = np.random.default_rng(0), NB201()
    networks = [
        build(choices_of(space.sample(rng)), KAPPA, torch.Generator().manual_seed(0)) for _ in range(10)
    ]
    pieces = crops(open_images(), 3000, torch.Generator().manual_seed(0))

    def ten() -> None:
        for network in networks:
            kappa(network, images, workspace)
            regions(build(network.choices, REGIONS, torch.Generator().manual_seed(0)), pieces)

    benchmark.pedantic(ten, rounds=3, warmup_rounds=1)
    benchmark.extra_info["seconds a cell"] = benchmark.stats["median"] / 10
