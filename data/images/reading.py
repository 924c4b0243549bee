"""Decoding of image files by simplejpeg, and their augmentation by torchvision, in worker processes.

A view turns a decoded image into bytes (3, side, side). simplejpeg calls libjpeg-turbo, as Pillow does, but writes
straight into channels-last memory, for which torchvision resizes bytes three times as fast as Pillow. Images stay
bytes until they are on the device.
"""

import ctypes
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Literal, NamedTuple, Protocol

import numpy as np
import torch
from PIL import Image
from simplejpeg import decode_jpeg
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import RandomResizedCrop, v2

from nasgauge.data.images.folders import BROKEN, MEAN, ImageFiles

Interpolation = Literal["bilinear", "bicubic"]
Augmentation = Literal["none", "trivial"]
_M_TRIM_THRESHOLD: Final = -1  # of malloc.h
_M_MMAP_MAX: Final = -4
_RATIOS: Final = [3 / 4, 4 / 3]  # width by height of random crops
MEAN_BYTES: Final = tuple(round(255 * mean) for mean in MEAN)


class View(Protocol):
    """A function from a decoded image to bytes (3, side, side)."""

    @property
    def side(self) -> int:
        """Height and width of the result in pixels."""

    def __call__(self, image: Tensor) -> Tensor:
        """Map bytes (3, H, W) to (3, side, side)."""


@dataclass(frozen=True, kw_only=True)
class TrainingView:
    """A random crop that is resized and perhaps mirrored (Szegedy et al., 2015), with further augmentation if wanted.

    Random numbers are taken from PyTorch's default generator, which `Reader` seeds for each image.

    >>> view = TrainingView(side=8)
    >>> view(torch.zeros(3, 20, 30, dtype=torch.uint8)).shape
    torch.Size([3, 8, 8])
    """

    side: int
    smallest: float = 0.08
    """Least area of a crop, as a share of the image."""
    interpolation: Interpolation = "bilinear"
    jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """Strength of random changes of brightness, contrast, saturation and hue."""
    augmentation: Augmentation = "none"
    """`trivial` for TrivialAugment in its wide space (Müller and Hutter, 2021)."""
    erasing: float = 0.0
    """Probability that a random rectangle is set to the mean colour (Zhong et al., 2020: random erasing)."""

    @cached_property
    def _transform(self) -> v2.Transform:
        steps: list[v2.Transform] = [v2.RandomHorizontalFlip()]
        if any(self.jitter):
            brightness, contrast, saturation, hue = self.jitter
            steps.append(v2.ColorJitter(brightness, contrast, saturation, hue))
        if self.augmentation == "trivial":
            steps.append(v2.TrivialAugmentWide(fill=list(MEAN_BYTES)))
        if self.erasing:
            steps.append(v2.RandomErasing(self.erasing, value=list(MEAN_BYTES)))
        return v2.Compose(steps)

    def __call__(self, image: Tensor) -> Tensor:
        """Map bytes (3, H, W) to (3, side, side)."""
        top, left, height, width = RandomResizedCrop.get_params(image, [self.smallest, 1.0], _RATIOS)
        crop = _resized_crop(image, top, left, height, width, self.side, self.interpolation)
        result: Tensor = self._transform(crop)
        return result


@dataclass(frozen=True, kw_only=True)
class CentralView:
    """The central square, resized, for evaluation.

    It is the same square as that of the usual resizing of the shorter side to `side / share` followed by a central
    crop, cut out before it is resized.

    >>> CentralView(side=8)(torch.zeros(3, 20, 30, dtype=torch.uint8)).shape
    torch.Size([3, 8, 8])
    """

    side: int
    share: float = 0.875
    """Side of the square, as a share of the shorter side of the image."""
    interpolation: Interpolation = "bilinear"

    def __call__(self, image: Tensor) -> Tensor:
        """Map bytes (3, H, W) to (3, side, side)."""
        height, width = image.shape[1:]
        cut = max(round(self.share * min(height, width)), 1)
        return _resized_crop(
            image, (height - cut) // 2, (width - cut) // 2, cut, cut, self.side, self.interpolation
        )


def _resized_crop(
    image: Tensor, top: int, left: int, height: int, width: int, side: int, interpolation: Interpolation
) -> Tensor:
    # the fast kernels want the crop itself to be without gaps
    part = image[None, :, top : top + height, left : left + width].contiguous(
        memory_format=torch.channels_last
    )
    mode = v2.InterpolationMode(interpolation)
    result: Tensor = v2.functional.resize(part, [side, side], interpolation=mode, antialias=True)[0]
    return result


class Batch(NamedTuple):
    """Images that were read, and the files that could not be."""

    pixels: Tensor
    """(B, 3, side, side), bytes in channels-last memory."""
    labels: Tensor
    """(B,), int64."""
    whole: Tensor
    """(B,), whether the file that was asked for could be decoded; the next file that can be stands in its place."""
    damaged: tuple[str, ...]
    """Names of files that could not be decoded."""


class Reader(Dataset[Batch]):
    """Image files, decoded and seen through a view, a batch at a time.

    An item is asked for by its place and the seed of its random numbers, so it does not depend on which process reads
    it or on what was read before.
    """

    def __init__(self, files: ImageFiles, view: View) -> None:
        self.files = files
        self.view = view

    def __len__(self) -> int:
        return len(self.files)

    def __getitems__(self, wanted: Sequence[tuple[int, int]]) -> Batch:
        """The images for pairs of a place and a seed. PyTorch's DataLoader calls this for each batch."""
        side = self.view.side
        pixels = torch.empty(
            (len(wanted), 3, side, side), dtype=torch.uint8, memory_format=torch.channels_last
        )
        damaged: list[str] = []
        read = list[int]()
        for row, (place, seed) in enumerate(wanted):
            found, image = self._decoded(place, damaged)
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(seed)
                pixels[row] = self.view(image)
            read.append(found)
        labels = torch.from_numpy(self.files.labels[read])
        whole = torch.tensor([found == place for found, (place, _) in zip(read, wanted, strict=True)])
        return Batch(pixels, labels, whole, tuple(damaged))

    def _decoded(self, place: int, damaged: list[str]) -> tuple[int, Tensor]:
        """The first file from `place` on that can be decoded: its place and its bytes (3, H, W)."""
        for step in range(len(self.files)):
            found = (place + step) % len(self.files)
            try:
                return found, decode(Path(self.files.path(found)).read_bytes())
            except BROKEN:
                damaged.append(self.files.name(found))
        raise AssertionError(
            "no file can be decoded"
        )  # pragma: no cover - the scan of the folder found whole ones


def decode(encoded: bytes) -> Tensor:
    """Bytes (3, H, W) in channels-last memory of an encoded image: a JPEG, or whatever Pillow reads.

    Raises OSError, SyntaxError or ValueError for a file that is truncated or otherwise broken.

    >>> import io
    >>> file = io.BytesIO()
    >>> Image.new("L", (5, 4), 255).save(file, "JPEG")
    >>> decode(file.getvalue()).shape
    torch.Size([3, 4, 5])
    """
    try:
        pixels = decode_jpeg(encoded, colorspace="RGB")
    except ValueError:  # CMYK, another format, superfluous bytes; or broken, of which Pillow is the judge
        with Image.open(io.BytesIO(encoded)) as picture:
            pixels = np.array(picture.convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1)


def keep_memory() -> None:
    """Let the C library keep freed memory of this process for its next images.

    Without it, every large array is got from the system anew, which takes longer than resizing an image or than many
    a layer of a network. Only glibc has this setting; elsewhere nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
