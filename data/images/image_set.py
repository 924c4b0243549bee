"""Labelled images in memory."""

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nasgauge.spaces.errors import NasgaugeError

Split = Literal["train", "test"]


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

    def take(self, places: NDArray[np.int64]) -> "ImageSet":
        """The images at these indices, in this order.

        >>> images = ImageSet("zeros", np.zeros((3, 3, 4, 4), np.uint8), np.array([0, 1, 2]))
        >>> images.take(np.array([2, 0])).labels
        array([2, 0])
        """
        return ImageSet(self.name, self.pixels[places], self.labels[places])

    def md5(self) -> str:
        """MD5 of the images in the binary format of CIFAR-10 (label, pixels, label, pixels, …), as hexadecimal digits.

        >>> ImageSet("zeros", np.zeros((1, 3, 1, 1), np.uint8), np.array([0])).md5()
        'f1d3ff8443297732862df21dc4e57262'
        """
        records = np.concatenate(
            [self.labels.astype(np.uint8)[:, None], self.pixels.reshape(len(self), -1)], 1
        )
        return hashlib.md5(records.tobytes(), usedforsecurity=False).hexdigest()
