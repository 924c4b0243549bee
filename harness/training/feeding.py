"""Training batches, augmented on the device for a whole batch at a time, without data loader processes.

All random numbers of an epoch are drawn on the CPU at its start, from a generator for this epoch. The same seed
therefore gives the same order, flips and shifts on every device, with any number of processes, and after resuming
from a checkpoint.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from nasgauge.harness.records.recipes import Recipe


@dataclass(frozen=True, eq=False)
class DeviceImages:
    """Images as bytes on a device, with the statistics for their normalisation.

    >>> pixels, labels = np.full((2, 1, 4, 4), 255, np.uint8), np.array([0, 1])
    >>> images = DeviceImages.put(pixels, labels, (0.5,), (0.25,), torch.device("cpu"))
    >>> images.normalised(images.pixels).unique()
    tensor([2.])
    """

    pixels: Tensor
    """(N, C, H, W), uint8."""
    labels: Tensor
    """(N,), int64."""
    mean: Tensor
    """Channel means, (C, 1, 1), in units of a byte."""
    deviation: Tensor
    """Channel standard deviations, (C, 1, 1), in units of a byte."""

    @classmethod
    def put(
        cls,
        pixels: NDArray[np.uint8],
        labels: NDArray[np.int64],
        mean: tuple[float, ...],
        deviation: tuple[float, ...],
        device: torch.device,
    ) -> "DeviceImages":
        """Copy images to a device. `mean` and `deviation` are channel statistics of images in [0, 1]."""
        return cls(
            torch.from_numpy(pixels).to(device),
            torch.from_numpy(labels).to(device),
            255 * torch.tensor(mean, device=device)[:, None, None],
            255 * torch.tensor(deviation, device=device)[:, None, None],
        )

    def __len__(self) -> int:
        return len(self.labels)

    def normalised(self, pixels: Tensor) -> Tensor:
        """Convert bytes (B, C, H, W) to normalised floats in channels-last layout."""
        floats = pixels.to(torch.float32, memory_format=torch.channels_last)
        return floats.sub_(self.mean).div_(self.deviation)


def batches_in_order(images: DeviceImages, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield all images in order, without augmentation: normalised floats (B, C, H, W) and labels (B,).

    The last batch may be smaller than `size`.

    >>> pixels, labels = np.zeros((5, 1, 4, 4), np.uint8), np.arange(5)
    >>> images = DeviceImages.put(pixels, labels, (0.5,), (0.25,), torch.device("cpu"))
    >>> [len(labels) for _, labels in batches_in_order(images, 2)]
    [2, 2, 1]
    """
    for start in range(0, len(images), size):
        part = slice(start, start + size)
        yield images.normalised(images.pixels[part]), images.labels[part]


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
        self._padded = pad(images.pixels, (padding,) * 4)

    def epoch(
        self, generator: torch.Generator, *, part: int = 0, parts: int = 1
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of one epoch: normalised floats (B, C, H, W) and labels (B,).

        With several processes, process `part` of `parts` gets its share of every batch.
        """
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
        for start in range(0, self.count, self.recipe.batch):
            rows = slice(start + part, min(start + self.recipe.batch, self.count), parts)
            chosen = order[rows]
            pixels = windows[chosen, :, shifts[0, rows], shifts[1, rows]]
            pixels = torch.where(flips[rows, None, None, None], pixels.flip(3), pixels)
            batch = self.images.normalised(pixels)
            if self.recipe.cutout:
                batch.masked_fill_(_squares(centres[:, rows], self.recipe.cutout, height, width), 0.0)
            yield batch, self.images.labels[chosen]


def _squares(centres: Tensor, side: int, height: int, width: int) -> Tensor:
    """Masks (B, 1, H, W) of squares centred at pixels (2, B)."""

    def span(centre: Tensor, length: int) -> Tensor:
        offset = torch.arange(length, device=centre.device) - (centre[:, None] - side // 2)
        return (offset >= 0) & (offset < side)

    rows, columns = span(centres[0], height), span(centres[1], width)
    return (rows[:, :, None] & columns[:, None, :])[:, None]
