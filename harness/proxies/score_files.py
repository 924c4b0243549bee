"""Files of proxy scores: each holds the scores of many cells and the recipe they were computed by."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import torch

from nasgauge.data.sealed import OtherKind, read_table, write_table
from nasgauge.spaces.errors import ELSEWHERE, NasgaugeError, reason

SHIPPED: Final = Path(__file__).with_name("scores.parquet")
"""The file of scores that is part of the package."""

LARGEST: Final = float(np.finfo(np.float32).max)
"""The largest score that a file can hold; a larger one becomes infinite."""

_META: Final = b"nasgauge-scores"
_USUAL: Final = MappingProxyType({"device": "cpu"})  # of files that name none


class UnfitScores(NasgaugeError, ValueError):
    """Raised for scores that are damaged or of another recipe, and for a recipe that no score can follow."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settings of the scoring. All cells are scored on the same images with the same random seeds.

    The defaults are each proxy's published network: that of the benchmark, with PyTorch's default initialisation, and
    for `kappa` and `regions` the small ones of TE-NAS at the settings of its paper (appendix A).

    >>> Recipe().of("kappa")
    '3 channels, 1 cell a stage, kaiming_fan_out, 32 images'
    >>> Recipe(batch=128).of("naswot")
    '16 channels, 5 cells a stage, default, 128 images'
    """

    images: str = "sample"
    """Name or folder of the images, as for `nasgauge.data.images.open_images`."""
    images_md5: str = ""
    """Their checksum, see `ImageSet.md5`; empty if it was not computed."""
    device: str = "cpu"
    """Type of the device that they are computed on, which a file names unless it is this one."""
    seed: int = 0
    draws: int = 1
    """Draws of weights, and of the batch; each draw of one is combined with each of the other."""
    repeats: int = 3
    """Draws of weights and images for `kappa` and `regions`."""
    kappa_batch: int = 32
    """Images per kernel."""
    kappa_initialisation: str = "kaiming_fan_out"
    region_samples: int = 5000
    """Crops on which linear regions are counted."""
    region_initialisation: str = "kaiming_fan_in"
    channels: int = 16
    """Channels of the first stage of the network for all other proxies."""
    cells: int = 5
    """Cells in each of its three stages."""
    initialisation: str = "default"
    batch: int = 64
    """Images for all other proxies."""
    grasp_batch: int = 32
    """Images for `grasp`: the first of the batch."""
    zen_batch: int = 16
    """Size of the batch of noise for `zen` and `zen_running`."""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if isinstance(value, int) and name != "seed" and value < 1:
                raise UnfitScores(f"{name} must be at least 1, not {value}")

    def batch_of(self, proxy: str) -> int:
        """Number of images that a proxy is computed on."""
        own = {
            "kappa": self.kappa_batch,
            "regions": self.region_samples,
            "grasp": min(self.grasp_batch, self.batch),
            "zen": min(self.zen_batch, self.batch),
            "zen_running": min(self.zen_batch, self.batch),
        }
        return own.get(proxy, self.batch)

    def of(self, proxy: str) -> str:
        """In words, what the scores of one proxy were computed on."""
        count = self.batch_of(proxy)
        if proxy == "kappa":
            return f"3 channels, 1 cell a stage, {self.kappa_initialisation}, {count} images"
        if proxy == "regions":
            return f"1 channel, 1 cell, {self.region_initialisation}, {count} crops"
        how = "standard_normal" if proxy.startswith("zen") else self.initialisation
        cells = f"{self.cells} cell{'s' * (self.cells > 1)} a stage"
        return f"{self.channels} channels, {cells}, {how}, {count} images"


class Score(NamedTuple):
    """The score of one cell by one proxy for one draw of weights and one batch.

    >>> Score(0, "kappa", 0, 0, float("nan"), "no path from input to output", 0.0).reason
    'no path from input to output'
    """

    rank: int
    """`Cell.rank`."""
    proxy: str
    weights: int
    """Which draw of the weights, from 0."""
    batch: int
    """Which draw of the images, from 0."""
    value: float
    """Higher is better; NaN where the proxy is undefined. Scores of `kappa` are minus the condition number."""
    reason: str
    """Why the value is NaN or infinite; empty otherwise."""
    seconds: float
    """CPU seconds of the evaluation alone: passes that several proxies share count for each."""


def gather(folder: Path, path: Path) -> int:
    """Join the files written by `score_classes` into one file, `path`, and return its number of classes.

    Raises UnfitScores.
    """
    parts = {part: read(part) for part in sorted(folder.rglob("part-*.parquet"))}
    if not parts:
        raise UnfitScores(f"{folder} holds no scores; run: nasgauge score cells --all --out {folder}")
    (first, (recipe, _)), *rest = parts.items()
    for part, (other, _) in rest:
        if other != recipe:
            raise UnfitScores(f"{difference(first, recipe, part, other)}; use one folder for each recipe")
    scores = [score for _, block in parts.values() for score in block]
    write(path, scores, recipe)
    return len({score.rank for score in scores})


def not_finite(scores: Iterable[Score]) -> dict[tuple[str, str], list[int]]:
    """Proxy and reason to the ranks of the cells whose score is NaN or infinite for that reason.

    >>> not_finite([Score(0, "kappa", 0, 0, float("nan"), "no path", 0.1), Score(7, "snip", 0, 0, 1.0, "", 0.1)])
    {('kappa', 'no path'): [0]}
    """
    found: dict[tuple[str, str], set[int]] = {}
    for score in scores:
        if score.reason:
            found.setdefault((score.proxy, score.reason), set()).add(score.rank)
    return {key: sorted(ranks) for key, ranks in found.items()}


def difference(one: object, first: Recipe, other: object, second: Recipe) -> str:
    """In which settings two recipes differ, and where each is from.

    >>> difference("a", Recipe(), "b", Recipe(seed=1))
    'a was made with seed=0, b with seed=1'
    """
    left, right = asdict(first), asdict(second)
    differing = [name for name in left if left[name] != right[name]]
    mine, its = (", ".join(f"{name}={side[name]!r}" for name in differing) for side in (left, right))
    return f"{one} was made with {mine}, {other} with {its}"


_SCHEMA: Final = pa.schema(
    [
        ("rank", pa.int16()),
        ("proxy", pa.dictionary(pa.int8(), pa.string())),
        ("weights", pa.int8()),
        ("batch", pa.int8()),
        ("value", pa.float32()),
        ("reason", pa.dictionary(pa.int8(), pa.string())),
        ("seconds", pa.float32()),
        ("recipe", pa.dictionary(pa.int8(), pa.string())),
    ]
)


def write(path: Path, scores: Iterable[Score], recipe: Recipe) -> None:
    """Write scores and their recipe to a parquet file, sorted by proxy, draws and rank, values in float32.

    >>> import tempfile
    >>> scores = [Score(0, "flops", 0, 0, 1.0, "", 0.1)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(Path(folder) / "scores.parquet", scores, Recipe(seed=1))
    ...     recipe, loaded = read(Path(folder) / "scores.parquet")
    >>> recipe.seed, loaded[0].value
    (1, 1.0)
    """
    ordered = sorted(scores, key=lambda score: (score.proxy, score.weights, score.batch, score.rank))
    rows = [(*score[:-1], round(score.seconds, 3), recipe.of(score.proxy)) for score in ordered]
    columns = zip(*rows, strict=True)
    table = pa.table([pa.array(c, f.type) for c, f in zip(columns, _SCHEMA, strict=True)], schema=_SCHEMA)
    named = {name: value for name, value in asdict(recipe).items() if (name, value) not in _USUAL.items()}
    about = {"recipe": named, "torch": torch.__version__}
    write_table(path, table, _META, about)


def read(path: Path) -> tuple[Recipe, list[Score]]:
    """Read the recipe and the scores from a file made by `write`.

    Raises UnfitScores.
    """
    try:
        table, about = read_table(path, _META)
        settings = dict(_USUAL) | about["recipe"]
        if unlike := settings.keys() ^ asdict(Recipe()).keys():
            raise UnfitScores(
                f"{path} was made by another version: its recipe and this version's ({Recipe()}) differ in "
                f"{', '.join(sorted(unlike))}; its own is {settings}; nasgauge score cells --all makes a new one"
            )
        recipe = Recipe(**settings)
        columns = [table[name].to_pylist() for name in Score._fields]
    except UnfitScores:
        raise
    except (KeyError, TypeError, ValueError) as error:
        remedy = (
            ELSEWHERE if isinstance(error, OtherKind) else "remove it, nasgauge score cells --all makes one"
        )
        raise UnfitScores(f"{path} is not a file of scores ({reason(error)}); {remedy}") from error
    return recipe, [Score(*row) for row in zip(*columns, strict=True)]


@cache
def shipped() -> tuple[Recipe, list[Score]]:
    """The recipe and scores that are part of the package.

    Raises UnfitScores.

    >>> recipe, scores = shipped()
    >>> recipe.channels, recipe.cells
    (16, 5)
    """
    return read(SHIPPED)
