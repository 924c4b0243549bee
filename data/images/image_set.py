"""Images as the bytes they are, with their classes."""

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nasgauge.spaces.errors import NasgaugeError

Split = Literal["train", "test"]


class ImagesUnavailable(NasgaugeError, LookupError):
    """A set of images that is not known, cannot be had, or does not fit what is asked of it."""


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images with their classes."""

    name: str
    pixels: NDArray[np.uint8]
    """(N, 3, H, W)."""
    labels: NDArray[np.int64]
    """(N,), classes from 0."""

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
        """The images at these places, in this order."""
        return ImageSet(self.name, self.pixels[places], self.labels[places])

    def md5(self) -> str:
        """Checksum of label, pixels, label, pixels, …: of CIFAR-10's binary form, whatever the file was."""
        records = np.concatenate(
            [self.labels.astype(np.uint8)[:, None], self.pixels.reshape(len(self), -1)], 1
        )
        return hashlib.md5(records.tobytes(), usedforsecurity=False).hexdigest()
