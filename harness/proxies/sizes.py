"""Kappa and regions of cells at several sizes: batches of images, and numbers of crops."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from nasgauge.data.atomic import replacing
from nasgauge.data.images import ImageSet, augmented, crops
from nasgauge.harness.network import Network, Skeleton, build, choices_of
from nasgauge.harness.ntk import Workspace
from nasgauge.harness.proxies.batch import generator_of
from nasgauge.harness.proxies.judge import KAPPA, REGIONS
from nasgauge.harness.proxies.score_files import UnfitScores
from nasgauge.harness.proxies.scores import live
from nasgauge.harness.proxies.tenas import kappa, regions
from nasgauge.spaces.nb201 import NB201

Proxy = Literal["kappa", "regions"]

_META: Final = b"nasgauge-settings"
_SCHEMA: Final = pa.schema(
    [
        ("rank", pa.int16()),
        ("proxy", pa.string()),
        ("size", pa.int32()),
        ("repeat", pa.int8()),
        ("value", pa.float32()),
        ("seconds", pa.float32()),
    ]
)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is measured of each cell: with each repeat's own weights and images, kappa and regions at each size.

    >>> Plan(images_md5="").batches
    (8, 16, 32)
    """

    images_md5: str
    batches: tuple[int, ...] = (8, 16, 32)
    """Images per kernel; smaller batches are the first images of larger ones."""
    samples: tuple[int, ...] = (500, 1000, 3000, 5000)
    """Crops on which regions are counted; likewise."""
    repeats: int = 3
    seed: int = 0


class Value(NamedTuple):
    """Kappa (negated: higher is better) or regions of one cell, at one size in one repeat; NaN without a path."""

    rank: int
    proxy: Proxy
    size: int
    repeat: int
    value: float
    seconds: float


def measure(ranks: Sequence[int], images: ImageSet, plan: Plan, path: Path) -> Iterator[tuple[int, int]]:
    """Measure cells into a parquet file, which is complete after each cell; cells that it has are skipped.

    Yields the number of cells done and the total. Raises UnfitScores if the file was made by another plan.
    """
    kept = list(read(path, plan)) if path.is_file() else []
    done = {value.rank for value in kept}
    workspace = Workspace()
    pixels = [
        augmented(images, max(plan.batches), generator_of(plan.seed, 0, r))[0] for r in range(plan.repeats)
    ]
    pieces = [crops(images, max(plan.samples), generator_of(plan.seed, 1, r)) for r in range(plan.repeats)]
    for place, rank in enumerate(ranks, 1):
        if rank not in done:
            for repeat in range(plan.repeats):
                kept += _measured(rank, plan, repeat, pixels[repeat], pieces[repeat], workspace)
            _write(path, kept, plan)
        yield place, len(ranks)


def _measured(
    rank: int, plan: Plan, repeat: int, pixels: Tensor, pieces: Tensor, workspace: Workspace
) -> Iterator[Value]:
    cell = NB201()[rank]

    def made(skeleton: Skeleton, role: int, how: str) -> Network:
        return build(
            choices_of(live(cell)), skeleton, generator_of(plan.seed, role, repeat), initialisation=how
        )

    def value(proxy: Proxy, size: int, score: Callable[[], float]) -> Value:
        start = time.process_time()
        found = score() if NB201().is_connected(cell) else float("nan")
        return Value(rank, proxy, size, repeat, found, time.process_time() - start)

    network = made(KAPPA, 2, "kaiming_fan_out")
    for size in plan.batches:
        yield value("kappa", size, lambda size=size: -kappa(network, pixels[:size], workspace))  # type: ignore[misc] # the default binds the loop's value
    small = made(REGIONS, 3, "kaiming_fan_in")
    for size in plan.samples:
        yield value("regions", size, lambda size=size: float(regions(small, pieces[:size])))  # type: ignore[misc] # likewise


def read(path: Path, plan: Plan | None = None) -> list[Value]:
    """The values in a file made by `measure`, of this plan if one is given.

    Raises UnfitScores.
    """
    try:
        table = pq.read_table(path)
        found = (table.schema.metadata or {})[_META].decode()
        columns = [table[name].to_pylist() for name in _SCHEMA.names]
    except (OSError, pa.ArrowInvalid, KeyError) as error:
        raise UnfitScores(
            f"{path} is not a file of kappa and regions ({type(error).__name__}); nasgauge score settings makes one"
        ) from error
    if plan is not None and found != _text(plan):
        raise UnfitScores(f"{path} was made by {found}, not by {_text(plan)}; give another file")
    return [Value(*row) for row in zip(*columns, strict=True)]


def _write(path: Path, values: Sequence[Value], plan: Plan) -> None:
    columns = zip(*values, strict=True)
    table = pa.table([pa.array(c, f.type) for c, f in zip(columns, _SCHEMA, strict=True)], schema=_SCHEMA)
    with replacing(path) as file:
        pq.write_table(table.replace_schema_metadata({_META: _text(plan).encode()}), file, compression="zstd")


def _text(plan: Plan) -> str:
    return json.dumps(asdict(plan) | {"torch": torch.__version__})
