"""Images on the device, and the batches that a training sees: no Python for each image, no worker process.

All randomness of an epoch is drawn on the CPU when it begins, from a generator of its own: the same seed
gives the same order, flips and shifts on every device, however many processes share a batch, and after a
resume at any epoch.
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
    """A set of images as bytes on a device, with how they are normalised."""

    pixels: Tensor
    """(N, C, H, W), uint8."""
    labels: Tensor
    """(N,), int64."""
    mean: Tensor
    """(C, 1, 1), of the bytes."""
    deviation: Tensor
    """(C, 1, 1), of the bytes."""

    @classmethod
    def put(
        cls,
        pixels: NDArray[np.uint8],
        labels: NDArray[np.int64],
        mean: tuple[float, ...],
        deviation: tuple[float, ...],
        device: torch.device,
    ) -> "DeviceImages":
        """Move images to a device; `mean` and `deviation` are of images in [0, 1]."""
        return cls(
            torch.from_numpy(pixels).to(device),
            torch.from_numpy(labels).to(device),
            255 * torch.tensor(mean, device=device)[:, None, None],
            255 * torch.tensor(deviation, device=device)[:, None, None],
        )

    def __len__(self) -> int:
        return len(self.labels)

    def normalised(self, pixels: Tensor) -> Tensor:
        """Bytes (B, C, H, W) to floats, channels last."""
        floats = pixels.to(torch.float32, memory_format=torch.channels_last)
        return floats.sub_(self.mean).div_(self.deviation)


def batches_in_order(images: DeviceImages, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The images as they are, (B, C, H, W) and labels (B,); the last batch may be smaller."""
    for start in range(0, len(images), size):
        part = slice(start, start + size)
        yield images.normalised(images.pixels[part]), images.labels[part]


def weights_generator(seed: int) -> torch.Generator:
    """The generator that a run's first weights are drawn from."""
    return _generator(seed, 0)


def epoch_generator(seed: int, epoch: int) -> torch.Generator:
    """The generator of one epoch of a run, counted from 0."""
    return _generator(seed, 1, epoch)


def _generator(seed: int, *branch: int) -> torch.Generator:
    words = np.random.SeedSequence(seed, spawn_key=branch).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(words[0] >> np.uint64(1)))


class Augmenter:
    """Shuffled batches of flipped, shifted and cut images.

    A shift is a crop of H × W from the image with `padding` black pixels around it. Flip and shift are those
    of NAS-Bench-201; the cut is a square of the recipe's side around any pixel, of mean colour.
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
        """One epoch's batches, (B, C, H, W) and labels (B,), of which this is process `part` of `parts`."""
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
    """Where squares lie around pixels (2, B): (B, 1, H, W)."""

    def span(centre: Tensor, length: int) -> Tensor:
        offset = torch.arange(length, device=centre.device) - (centre[:, None] - side // 2)
        return (offset >= 0) & (offset < side)

    rows, columns = span(centres[0], height), span(centres[1], width)
    return (rows[:, :, None] & columns[:, None, :])[:, None]
