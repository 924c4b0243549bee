"""Synthetic images for tests and dry runs, which any small network learns in seconds."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from nasgauge.data.images.image_set import ImageSet

SIDE: Final = 32
"""Height and width in pixels."""
CLASSES: Final = 10


def made_up(count: int, rng: np.random.Generator) -> ImageSet:
    """Synthetic images (count, 3, 32, 32) of ten classes.

    A class is a colour and stripes of one width and slant, with strong noise. The phase of the stripes is random, and
    a mirrored image does not resemble another class, so random crops and flips preserve the class.

    >>> images = made_up(20, np.random.default_rng(0))
    >>> images.pixels.shape, np.bincount(images.labels).tolist()
    ((20, 3, 32, 32), [2, 2, 2, 2, 2, 2, 2, 2, 2, 2])
    """
    labels = rng.permutation(np.arange(count) % CLASSES)
    brightness = rng.normal(128, 20, (count, 3, 1, 1))
    noise = rng.normal(0, 40, (count, 3, SIDE, SIDE))
    stripes = 40 * _stripes(labels, rng.uniform(0, 2 * np.pi, count))
    hue = 2 * np.pi * (labels[:, None] / CLASSES + np.arange(3) / 3)
    pixels = brightness + 15 * np.cos(hue)[:, :, None, None] + stripes[:, None] + noise
    return ImageSet("made-up", np.clip(pixels.round(), 0, 255).astype(np.uint8), labels.astype(np.int64))


def _stripes(labels: NDArray[np.int64], begin: NDArray[np.float64]) -> NDArray[np.float64]:
    """Stripes (N, H, W) with values from -1 to 1."""
    slant = np.pi / 2 * labels / (CLASSES - 1)  # 0 to a right angle: no class mirrors another
    waves = 2 * np.pi * (2 + labels % 3) / SIDE
    down, right = np.mgrid[:SIDE, :SIDE]
    along = np.cos(slant)[:, None, None] * right + np.sin(slant)[:, None, None] * down
    stripes: NDArray[np.float64] = np.cos(waves[:, None, None] * along + begin[:, None, None])
    return stripes
