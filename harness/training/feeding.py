"""Training batches of images in memory, augmented on the device for a whole batch at a time.

All random numbers of an epoch are drawn on the CPU at its start, from a generator for this epoch. The same seed
therefore gives the same order, flips and shifts on every device, with any number of processes, and after resuming
from a checkpoint.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from nasgauge.harness.records.recipes import Recipe


class Feed(Protocol):
    """Shuffled and augmented training images, in batches that are divided into shares."""

    count: int
    """Images of an epoch."""
    batch: int
    """Images of a batch; the last may be smaller."""

    def epoch(
        self, generator: torch.Generator, *, shares: Sequence[int] = (0,), of: int = 1, first: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield normalised floats (B, C, H, W) and labels (B,): these shares `of` so many of every batch from `first` on."""


class HeldOutImages(Protocol):
    """Images for evaluation."""

    def batches(self, *, part: int = 0, parts: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield normalised floats (B, C, H, W) and labels (B,): one part of `parts`, in order."""


@dataclass(frozen=True)
class Colours:
    """Normalisation of images of bytes on a device.

    >>> colours = Colours.on(torch.device("cpu"), (0.5,), (0.25,))
    >>> colours.normalised(torch.full((2, 1, 4, 4), 255, dtype=torch.uint8)).unique()
    tensor([2.])
    """

    mean: Tensor
    """Mean of each channel, (C,), in units of a byte."""
    scale: Tensor
    """Reciprocal standard deviation of each channel, (C,), in units of a byte."""

    @classmethod
    def on(cls, device: torch.device, mean: Sequence[float], deviation: Sequence[float]) -> "Colours":
        """For channel statistics of images in [0, 1]."""
        return cls(
            255 * torch.tensor(mean, device=device), 1 / (255 * torch.tensor(deviation, device=device))
        )

    def normalised(self, pixels: Tensor) -> Tensor:
        """Convert bytes (B, C, H, W) to normalised floats in channels-last layout."""
        count, channels, height, width = pixels.shape
        # whole rows at a time: arithmetic on three neighbouring channels is slow on a CPU
        rows = pixels.permute(0, 2, 3, 1).reshape(count * height, width * channels).float()
        rows.sub_(self.mean.repeat(width)).mul_(self.scale.repeat(width))
        return rows.view(count, height, width, channels).permute(0, 3, 1, 2)


@dataclass(frozen=True, eq=False)
class DeviceImages:
    """Images as bytes on a device.

    >>> from dataclasses import replace
    >>> pixels, labels = np.zeros((5, 1, 4, 4), np.uint8), np.arange(5)
    >>> images = DeviceImages.put(pixels, labels, (0.5,), (0.25,), torch.device("cpu"))
    >>> [len(labels) for _, labels in replace(images, size=2).batches()]
    [2, 2, 1]
    """

    pixels: Tensor
    """(N, C, H, W), uint8."""
    labels: Tensor
    """(N,), int64."""
    colours: Colours
    size: int = 1000
    """Images of a batch in evaluation."""

    @classmethod
    def put(
        cls,
        pixels: NDArray[np.uint8],
        labels: NDArray[np.int64],
        mean: Sequence[float],
        deviation: Sequence[float],
        device: torch.device,
    ) -> "DeviceImages":
        """Copy images to a device. `mean` and `deviation` are channel statistics of images in [0, 1]."""
        return cls(
            torch.from_numpy(pixels).to(device),
            torch.from_numpy(labels).to(device),
            Colours.on(device, mean, deviation),
        )

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, *, part: int = 0, parts: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the images in order, without augmentation: normalised floats (B, C, H, W) and labels (B,)."""
        for start in range(part, len(self), self.size * parts):
            rows = slice(start, start + self.size * parts, parts)
            yield self.colours.normalised(self.pixels[rows]), self.labels[rows]


def weights_generator(seed: int) -> torch.Generator:
    """The generator for the initial weights of a training.

    >>> weights_generator(777).initial_seed() == weights_generator(888).initial_seed()
    False
    """
    return _generator(seed, 0)


def epoch_generator(seed: int, epoch: int) -> torch.Generator:
    """The generator for the order and augmentation of one epoch, counted from 0.

    >>> epoch_generator(777, 0).initial_seed() == epoch_generator(777, 1).initial_seed()
    False
    """
    return _generator(seed, 1, epoch)


def share_seed(seed: int, epoch: int, step: int, share: int) -> int:
    """The seed of what a network drops, and of how images are mixed, in one share of one step.

    >>> share_seed(777, 0, 3, 0) == share_seed(777, 0, 3, 1)
    False
    """
    return _generator(seed, 2, epoch, step, share).initial_seed()


def _generator(seed: int, *branch: int) -> torch.Generator:
    words = np.random.SeedSequence(seed, spawn_key=branch).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(words[0] >> np.uint64(1)))


class Augmenter:
    """Shuffled and augmented training batches.

    Images are flipped horizontally with probability 1/2, padded with `padding` black pixels and cropped to H × W at
    random, as in NAS-Bench-201. With `recipe.cutout`, a square around a random pixel is set to the mean colour.

    >>> pixels, labels = np.zeros((100, 3, 8, 8), np.uint8), np.arange(100)
    >>> images = DeviceImages.put(pixels, labels, (0.5,) * 3, (0.25,) * 3, torch.device("cpu"))
    >>> augmenter = Augmenter(images, Recipe(name="example", epochs=1, batch=64), padding=2)
    >>> [tuple(batch.shape) for batch, _ in augmenter.epoch(epoch_generator(0, 0))]
    [(64, 3, 8, 8), (36, 3, 8, 8)]
    """

    def __init__(self, images: DeviceImages, recipe: Recipe, *, padding: int) -> None:
        self.images = images
        self.recipe = recipe
        self.padding = padding
        self.count = len(images) if recipe.images is None else min(recipe.images, len(images))
        self.batch = recipe.batch
        self._padded = pad(images.pixels, (padding,) * 4)

    def epoch(
        self, generator: torch.Generator, *, shares: Sequence[int] = (0,), of: int = 1, first: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield these shares of every batch from `first` on: normalised floats (B, C, H, W) and labels (B,)."""
        device = self.images.pixels.device
        height, width = self.images.pixels.shape[2:]
        order = torch.randperm(self.count, generator=generator)
        flips = torch.rand(self.count, generator=generator) < 0.5
        shifts = torch.randint(2 * self.padding + 1, (2, self.count), generator=generator)
        centres = torch.rand((2, self.count), generator=generator) * torch.tensor([[height], [width]])
        order, flips, shifts, centres = (
            drawn.to(device, non_blocking=True) for drawn in (order, flips, shifts, centres.long())
        )
        windows = self._padded.unfold(2, height, 1).unfold(
            3, width, 1
        )  # (N, C, shifts, shifts, H, W), a view
        for start in range(first * self.batch, self.count, self.batch):
            for share in shares:
                rows = slice(start + share, min(start + self.batch, self.count), of)
                chosen = order[rows]
                pixels = windows[chosen, :, shifts[0, rows], shifts[1, rows]]
                pixels = torch.where(flips[rows, None, None, None], pixels.flip(3), pixels)
                images = self.images.colours.normalised(pixels)
                if self.recipe.cutout:
                    images.masked_fill_(_squares(centres[:, rows], self.recipe.cutout, height, width), 0.0)
                yield images, self.images.labels[chosen]


def _squares(centres: Tensor, side: int, height: int, width: int) -> Tensor:
    """Masks (B, 1, H, W) of squares centred at pixels (2, B)."""

    def span(centre: Tensor, length: int) -> Tensor:
        offset = torch.arange(length, device=centre.device) - (centre[:, None] - side // 2)
        return (offset >= 0) & (offset < side)

    rows, columns = span(centres[0], height), span(centres[1], width)
    return (rows[:, :, None] & columns[:, None, :])[:, None]
