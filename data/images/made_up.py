"""Images of classes that do not exist, for tests and dry runs: any small network learns them in seconds."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from nasgauge.data.images.image_set import ImageSet

SIDE: Final = 32
CLASSES: Final = 10


def made_up(count: int, rng: np.random.Generator) -> ImageSet:
    """Images (count, 3, 32, 32): a class is a colour and stripes of one width and slant, under heavy noise.

    Stripes begin anywhere and a mirror image has the stripes of none of the other classes, so that a crop
    or a flip leaves the class as it is.
    """
    labels = rng.permutation(np.arange(count) % CLASSES)
    brightness = rng.normal(128, 20, (count, 3, 1, 1))
    noise = rng.normal(0, 40, (count, 3, SIDE, SIDE))
    stripes = 40 * _stripes(labels, rng.uniform(0, 2 * np.pi, count))
    hue = 2 * np.pi * (labels[:, None] / CLASSES + np.arange(3) / 3)
    pixels = brightness + 15 * np.cos(hue)[:, :, None, None] + stripes[:, None] + noise
    return ImageSet("made-up", np.clip(pixels.round(), 0, 255).astype(np.uint8), labels.astype(np.int64))


def _stripes(labels: NDArray[np.int64], begin: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, H, W), -1 to 1."""
    slant = np.pi / 2 * labels / (CLASSES - 1)  # 0 to a right angle: no class mirrors another
    waves = 2 * np.pi * (2 + labels % 3) / SIDE
    down, right = np.mgrid[:SIDE, :SIDE]
    along = np.cos(slant)[:, None, None] * right + np.sin(slant)[:, None, None] * down
    stripes: NDArray[np.float64] = np.cos(waves[:, None, None] * along + begin[:, None, None])
    return stripes
