"""Kappa and regions of cells at several sizes: batches of images, and numbers of crops."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import pyarrow as pa
import torch
from torch import Tensor

from nasgauge.data.images import ImageSet, augmented, crops
from nasgauge.data.sealed import OtherKind, read_table, write_table
from nasgauge.harness.engines import HERE, Engine, whole
from nasgauge.harness.network import Network, Skeleton, build, choices_of
from nasgauge.harness.ntk import Workspace
from nasgauge.harness.proxies.batch import generator_of
from nasgauge.harness.proxies.judge import KAPPA, REGIONS
from nasgauge.harness.proxies.score_files import UnfitScores
from nasgauge.harness.proxies.scores import live
from nasgauge.harness.proxies.tenas import kappa, regions
from nasgauge.searchers.threads import torch_threads
from nasgauge.spaces.errors import ELSEWHERE, reason
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
    (8, 16, 32, 72)
    """

    images_md5: str
    batches: tuple[int, ...] = (8, 16, 32, 72)
    """Images per kernel; smaller batches are the first images of larger ones. The paper has 32, the public code 72."""
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


def measure(
    ranks: Sequence[int], images: ImageSet, plan: Plan, path: Path, engine: Engine = HERE
) -> Iterator[tuple[int, int]]:
    """Measure cells into a parquet file, which is complete after each cell; cells that it has are skipped.

    Yields the number of cells done and the total. Raises UnfitScores if the file was made by another plan.
    """
    kept: dict[int, list[Value]] = {}
    for value in read(path, plan) if path.is_file() else ():
        kept.setdefault(value.rank, []).append(value)
    yield from ((done, len(ranks)) for done in range(1, 1 + len(kept.keys() & set(ranks))))
    pixels = [
        augmented(images, max(plan.batches), generator_of(plan.seed, 0, r))[0] for r in range(plan.repeats)
    ]
    pieces = [crops(images, max(plan.samples), generator_of(plan.seed, 1, r)) for r in range(plan.repeats)]
    order = {rank: place for place, rank in enumerate(ranks)}
    todo = [rank for rank in ranks if rank not in kept]
    function = partial(_all_of, plan, pixels, pieces, images.classes)
    with closing(whole(engine.run(function, todo))) as results:
        for rank, values in results:
            kept[rank] = values
            by_place = sorted(kept, key=lambda rank: order.get(rank, -1))
            _write(path, [value for rank in by_place for value in kept[rank]], plan)
            yield len(kept.keys() & order.keys()), len(ranks)


def _all_of(plan: Plan, pixels: list[Tensor], pieces: list[Tensor], classes: int, rank: int) -> list[Value]:
    workspace, kappa_network = Workspace(), replace(KAPPA, classes=classes)
    with torch_threads(1):
        return [
            value
            for repeat in range(plan.repeats)
            for value in _measured(
                rank, plan, repeat, pixels[repeat], pieces[repeat], kappa_network, workspace
            )
        ]


def _measured(
    rank: int,
    plan: Plan,
    repeat: int,
    pixels: Tensor,
    pieces: Tensor,
    kappa_network: Skeleton,
    workspace: Workspace,
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

    network = made(kappa_network, 2, "kaiming_fan_out")
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
        table, found = read_table(path, _META)
        columns = [table[name].to_pylist() for name in _SCHEMA.names]
    except (KeyError, ValueError) as error:
        remedy = ELSEWHERE if isinstance(error, OtherKind) else "remove it, nasgauge score settings makes one"
        raise UnfitScores(f"{path} is not a file of kappa and regions ({reason(error)}); {remedy}") from error
    if plan is not None and found != _about(plan):
        raise UnfitScores(
            f"{path} was made by {json.dumps(found)}, not by {json.dumps(_about(plan))}; give another file"
        )
    return [Value(*row) for row in zip(*columns, strict=True)]


def _write(path: Path, values: Sequence[Value], plan: Plan) -> None:
    columns = zip(*values, strict=True)
    table = pa.table([pa.array(c, f.type) for c, f in zip(columns, _SCHEMA, strict=True)], schema=_SCHEMA)
    write_table(path, table, _META, _about(plan))


def _about(plan: Plan) -> dict[str, Any]:
    about: dict[str, Any] = json.loads(json.dumps(asdict(plan) | {"torch": torch.__version__}))
    return about
