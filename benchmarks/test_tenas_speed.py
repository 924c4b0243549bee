"""Speed of TE-NAS against a plain one-by-one loop: `pytest benchmarks/test_tenas_speed.py --benchmark-only -s`."""

import logging
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))  # the reference stands beside this file

import reference_ntk

from nasgauge.data.images import augmented, crops, open_images
from nasgauge.harness.network import Choices, build, choices_of, initialise
from nasgauge.harness.network.darts import BlockNetwork
from nasgauge.harness.ntk import Workspace
from nasgauge.harness.proxies.judge import KAPPA, REGIONS, Judge
from nasgauge.harness.proxies.tenas import kappa, regions
from nasgauge.searchers.pruning import NB201_SUPERNET, PRESETS, Comparison, Settings, prune
from nasgauge.searchers.pruning_darts import DARTS_BATCH
from nasgauge.spaces import block_genotypes
from nasgauge.spaces.nb201 import NB201

LOG = logging.getLogger(__name__)
CORES = 2
IMAGES = os.environ.get("IMAGES", "sample")
"""Images of the searches, as for `nasgauge score tenas --images`."""


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def batch(size: int) -> Tensor:
    return augmented(open_images(), size, torch.Generator().manual_seed(0))[0]


class BesideTheLoop:
    """A judge that is timed, and after each of its rounds the plain loop on the candidates of that round.

    The loop has the kernels alone, of a candidate and of the full network, with all cores for one network. It does
    every repeat of every candidate, so that nothing is extrapolated.
    """

    def __init__(self, settings: Settings, judge: Judge, images: Tensor) -> None:
        self.settings = settings
        self.judge = judge
        self.images = images
        self.ours: list[tuple[float, float]] = []  # wall and CPU seconds of each round
        self.loop: list[tuple[float, float]] = []
        self.peak_mb = float("nan")

    def __call__(self, full: Choices, candidates: Sequence[Choices]) -> list[Comparison]:
        start = seconds()
        found = self.judge(full, candidates)
        self.ours.append(since(start))
        if len(self.ours) == 1:  # the largest networks, and the loop has not yet taken its own memory
            self.peak_mb = peak_mb()
        torch.set_num_threads(CORES)
        start = seconds()
        for candidate in candidates:
            for _ in range(self.settings.repeats):
                for choices in (full, candidate):
                    network = build(choices, KAPPA, torch.Generator().manual_seed(0))
                    reference_ntk.condition_number(network, self.images)
        self.loop.append(since(start))
        LOG.info(
            "round %d: ours %.1f s (%.1f CPU s), loop %.1f s (%.1f CPU s)",
            len(self.ours),
            *self.ours[-1],
            *self.loop[-1],
        )
        return found


def seconds() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def since(start: tuple[float, float]) -> tuple[float, float]:
    wall, cpu = (now - then for now, then in zip(seconds(), start, strict=True))
    return wall, cpu


def peak_mb() -> float:
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return float(found[1]) / 1024 if found else float("nan")


def beside_the_loop_on_one_core(
    benchmark: Any, network: nn.Module, images: Tensor, workspace: Workspace | None = None
) -> None:
    """Time the loop once, and the condition number as we compute it."""
    torch.set_num_threads(1)
    reference_ntk.condition_number(network, images)  # not timed
    start = time.perf_counter()
    expected = reference_ntk.condition_number(network, images)
    loop = time.perf_counter() - start
    found = benchmark.pedantic(kappa, (network, images, workspace), rounds=3, warmup_rounds=1)
    assert found == pytest.approx(expected, rel=1e-2)  # the loop's float32 is good for two to four digits
    benchmark.extra_info["loop, s"] = loop
    benchmark.extra_info["times faster"] = loop / benchmark.stats["median"]


@pytest.mark.parametrize("size", [32, 72])
def test_one_kernel_of_the_first_supernet(benchmark: Any, size: int) -> None:
    """The loop beside the kernel of all rows at once."""
    network = build(NB201_SUPERNET, KAPPA, torch.Generator().manual_seed(0))
    beside_the_loop_on_one_core(benchmark, network, batch(size), Workspace())


@pytest.mark.parametrize("operations", [7, 3])
def test_one_kernel_of_a_darts_supernet(benchmark: Any, operations: int) -> None:
    """The loop beside all cotangents at once, of the first supernet and of a later one."""
    network = BlockNetwork((block_genotypes.OPERATIONS[-operations:],) * 28, stem=True)
    initialise(network, "kaiming_fan_out", torch.Generator().manual_seed(0))
    beside_the_loop_on_one_core(benchmark, network, batch(DARTS_BATCH))


@pytest.mark.parametrize("preset", PRESETS)
def test_a_whole_search(benchmark: Any, preset: str) -> None:
    """Goals: 10 times faster than the loop, under 1.5 GB.

    The test's own time is that of both; the figures are in the extra information (`--benchmark-json`), those of
    each round are logged as they come (`--log-cli-level=INFO`).
    """
    settings = PRESETS[preset]
    judge = Judge(settings, 0, images=open_images(IMAGES), workers=CORES)
    both = BesideTheLoop(settings, judge, batch(settings.batch))
    benchmark.pedantic(lambda: prune(both), rounds=1)
    (ours, ours_cpu), (loop, loop_cpu) = (np.sum(part, 0).tolist() for part in (both.ours, both.loop))
    benchmark.extra_info |= {
        "ours, s": ours,
        "ours, CPU s": ours_cpu,
        "loop, s": loop,
        "loop, CPU s": loop_cpu,
        "times faster": loop / ours,
        "times less CPU": loop_cpu / ours_cpu,
        "times faster in each round": [
            round(b[0] / a[0], 2) for a, b in zip(both.ours, both.loop, strict=True)
        ],
        "peak memory, MB": both.peak_mb,
    }


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
