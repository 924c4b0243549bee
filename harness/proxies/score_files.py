"""Files of proxy scores: each holds the scores of many cells and the recipe they were computed by."""

import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from nasgauge.data.atomic import replacing
from nasgauge.spaces.errors import NasgaugeError

SHIPPED: Final = Path(__file__).with_name("scores.parquet")
"""The file of scores that is part of the package."""

_META: Final = b"nasgauge-scores"


class UnfitScores(NasgaugeError, ValueError):
    """Raised for a file of scores that is damaged or was computed with another recipe."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settings of the scoring. All cells are scored on the same images with the same random seeds.

    >>> Recipe(kappa_batch=32).kappa_batch, Recipe().region_samples
    (32, 3000)
    """

    images: str = "sample"
    """Name or folder of the images, as for `nasgauge.data.images.open_images`."""
    seed: int = 0
    kappa_batch: int = 16
    """Images per kernel."""
    kappa_repeats: int = 4
    kappa_initialisation: str = "kaiming_fan_out"
    region_samples: int = 3000
    """Crops on which linear regions are counted."""
    region_repeats: int = 6
    region_initialisation: str = "kaiming_fan_in"
    channels: int = 8
    """Channels of the first stage of the network for all other proxies, which has one cell in each of three stages."""
    batch: int = 16
    """Images for all other proxies."""
    initialisation: str = "kaiming_fan_out"


class Score(NamedTuple):
    """The score of one cell by one proxy in one repeat.

    >>> Score(0, "kappa", 0, float("nan"), "no path from input to output", 0.0).reason
    'no path from input to output'
    """

    rank: int
    """`Cell.rank`."""
    proxy: str
    repeat: int
    value: float
    """Higher is better; NaN where the proxy is undefined. Scores of `kappa` are minus the condition number."""
    reason: str
    """Why the value is NaN; empty otherwise."""
    seconds: float
    """Measured wall time of the evaluation."""


def gather(folder: Path, path: Path) -> int:
    """Join the files written by `score_classes` into one file, `path`, and return its number of classes.

    Raises UnfitScores.
    """
    parts = [read(part) for part in sorted(folder.glob("part-*.parquet"))]
    if not parts:
        raise UnfitScores(f"{folder} holds no scores; run: nasgauge score cells --all --out {folder}")
    if len({recipe for recipe, _ in parts}) > 1:
        raise UnfitScores(f"the files of {folder} were made by different recipes; use one folder for each")
    scores = [score for _, block in parts for score in block]
    write(path, scores, parts[0][0])
    return len({score.rank for score in scores})


_SCHEMA: Final = pa.schema(
    [
        ("rank", pa.int16()),
        ("proxy", pa.dictionary(pa.int8(), pa.string())),
        ("repeat", pa.int8()),
        ("value", pa.float64()),
        ("reason", pa.dictionary(pa.int8(), pa.string())),
        ("seconds", pa.float32()),
    ]
)


def write(path: Path, scores: list[Score], recipe: Recipe) -> None:
    """Write scores and their recipe to a parquet file.

    >>> import tempfile
    >>> scores = [Score(0, "flops", 0, 1.0, "", 0.1)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(Path(folder) / "scores.parquet", scores, Recipe(seed=1))
    ...     recipe, loaded = read(Path(folder) / "scores.parquet")
    >>> recipe.seed, loaded[0].value
    (1, 1.0)
    """
    columns = zip(*scores, strict=True)
    table = pa.table([pa.array(c, f.type) for c, f in zip(columns, _SCHEMA, strict=True)], schema=_SCHEMA)
    about = {"recipe": asdict(recipe), "torch": torch.__version__}
    with replacing(path) as file:
        pq.write_table(
            table.replace_schema_metadata({_META: json.dumps(about).encode()}), file, compression="zstd"
        )


def read(path: Path) -> tuple[Recipe, list[Score]]:
    """Read the recipe and the scores from a file made by `write`.

    Raises UnfitScores.
    """
    try:
        table = pq.read_table(path)
        recipe = Recipe(**json.loads((table.schema.metadata or {})[_META])["recipe"])
        columns = [table[name].to_pylist() for name in _SCHEMA.names]
    except (OSError, pa.ArrowInvalid, KeyError, TypeError, ValueError) as error:
        raise UnfitScores(
            f"{path} is not a file of scores ({type(error).__name__}); nasgauge score cells --all makes one"
        ) from error
    return recipe, [Score(*row) for row in zip(*columns, strict=True)]


@cache
def shipped() -> tuple[Recipe, list[Score]]:
    """The recipe and scores that are part of the package: a prefix of `classes`, hence a uniform sample.

    Raises UnfitScores.

    >>> recipe, scores = shipped()
    >>> recipe.images
    'sample'
    """
    return read(SHIPPED)
