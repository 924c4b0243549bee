"""Labelled images in memory."""

import hashlib
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from nasgauge.spaces.errors import NasgaugeError

Split = Literal["train", "test"]
Colour = tuple[float, float, float]

MEAN: Final[Colour] = (125.3 / 255, 123.0 / 255, 113.9 / 255)
DEVIATION: Final[Colour] = (63.0 / 255, 62.1 / 255, 66.7 / 255)
"""Channel means and standard deviations with which NAS-Bench-201 and TE-NAS normalise CIFAR-10, for images in [0, 1]."""


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """How a data set's images are normalised and cropped for training. The defaults are those of CIFAR-10.

    >>> Preparation.of_bytes((51, 51, 51), (255, 255, 255), padding=2).mean
    (0.2, 0.2, 0.2)
    """

    mean: Colour = MEAN
    """Mean of each channel, for images in [0, 1]."""
    deviation: Colour = DEVIATION
    """Standard deviation of each channel, for images in [0, 1]."""
    padding: int = 4
    """Black pixels added on each side before a random crop."""

    @classmethod
    def of_bytes(cls, mean: Colour, deviation: Colour, padding: int = 4) -> "Preparation":
        """From means and standard deviations for images in 0 to 255."""
        (m0, m1, m2), (d0, d1, d2) = mean, deviation
        return cls(
            mean=(m0 / 255, m1 / 255, m2 / 255), deviation=(d0 / 255, d1 / 255, d2 / 255), padding=padding
        )


class ImagesUnavailable(NasgaugeError, LookupError):
    """Raised for a set of images that is unknown, cannot be loaded, or does not have the requested size or form."""


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Labelled images. Raises ImagesUnavailable if shapes or types do not match.

    >>> images = ImageSet("zeros", np.zeros((2, 3, 4, 4), np.uint8), np.array([0, 1]))
    >>> len(images), len(images.take(np.array([1])))
    (2, 1)
    """

    name: str
    pixels: NDArray[np.uint8]
    """(N, 3, H, W), 0 to 255."""
    labels: NDArray[np.int64]
    """(N,), classes counted from 0."""
    preparation: Preparation = Preparation()

    def __post_init__(self) -> None:
        if (
            self.pixels.ndim != 4
            or self.pixels.dtype != np.uint8
            or self.labels.shape != self.pixels.shape[:1]
        ):
            raise ImagesUnavailable(
                f"{self.name} holds {self.pixels.dtype} {self.pixels.shape} with labels {self.labels.shape}; "
                "images are bytes (N, C, H, W) with labels (N,)"
            )

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def classes(self) -> int:
        """Number of classes: one more than the highest label."""
        return int(self.labels.max(initial=0)) + 1

    def take(self, places: NDArray[np.int64]) -> "ImageSet":
        """The images at these indices, in this order.

        >>> images = ImageSet("zeros", np.zeros((3, 3, 4, 4), np.uint8), np.array([0, 1, 2]))
        >>> images.take(np.array([2, 0])).labels
        array([2, 0])
        """
        return replace(self, pixels=self.pixels[places], labels=self.labels[places])

    def md5(self) -> str:
        """MD5 of the images in the binary format of CIFAR-10 (label, pixels, label, pixels, …), as hexadecimal digits.

        >>> ImageSet("zeros", np.zeros((1, 3, 1, 1), np.uint8), np.array([0])).md5()
        'f1d3ff8443297732862df21dc4e57262'
        """
        records = np.concatenate(
            [self.labels.astype(np.uint8)[:, None], self.pixels.reshape(len(self), -1)], 1
        )
        return hashlib.md5(records.tobytes(), usedforsecurity=False).hexdigest()
