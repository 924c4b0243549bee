"""Batches of images that worker processes read from files, for data sets that do not fit into memory."""

from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from nasgauge.data.images.folders import DEVIATION, MEAN, DamagedImages, ImageFiles
from nasgauge.data.images.reading import Batch, CentralView, Reader, TrainingView, View, keep_memory
from nasgauge.harness.records.recipes import Recipe
from nasgauge.harness.training.feeding import Colours
from nasgauge.spaces.errors import NasgaugeError

SIDE = 224
"""Side in pixels of photographs where the recipe names none."""
EVALUATION_BATCH = 250
"""Images per forward pass in evaluation."""
_PREFETCHED = 4  # batches that a worker reads ahead
_Wanted = list[tuple[int, int]]  # place and seed of each image of a batch


class TooFewImages(NasgaugeError, ValueError):
    """Raised for a data set with fewer images than a batch."""


class Files:
    """Image files that are read, copied to the device and normalised there."""

    replacing: ClassVar[bool]
    """Whether the next file takes the place of one that cannot be decoded, so that batches keep their size."""

    def __init__(
        self, files: ImageFiles, view: View, device: torch.device, *, readers: int, skip_damaged: bool
    ) -> None:
        self.damaged: set[str] = set()
        """Names of files that could not be decoded."""
        self._reader = Reader(files, view)
        self._device = device
        self._colours = Colours.on(device, MEAN, DEVIATION)
        self._readers = readers
        self._skip = skip_damaged

    def _read(self, wanted: Iterable[_Wanted]) -> Iterator[tuple[Tensor, Tensor]]:
        loader: DataLoader[Batch] = DataLoader(
            self._reader,
            batch_sampler=wanted,
            num_workers=self._readers,
            collate_fn=_as_it_is,  # type: ignore[arg-type]  # `Reader` returns whole batches
            worker_init_fn=_start,
            pin_memory=self._device.type == "cuda",
            prefetch_factor=_PREFETCHED if self._readers else None,
            generator=torch.Generator(),
        )
        for batch in loader:
            if batch.damaged and not self._skip:
                raise DamagedImages.of(batch.damaged, len(self._reader))
            self.damaged.update(batch.damaged)
            pixels, labels = batch.pixels, batch.labels
            if batch.damaged and not self.replacing:
                pixels, labels = pixels[batch.whole], labels[batch.whole]
            pixels = pixels.to(self._device, non_blocking=True)
            yield self._colours.normalised(pixels), labels.to(self._device, non_blocking=True)


class FileFeed(Files):
    """Shuffled training images from files, in random crops.

    The last images of an epoch that do not fill a batch are left out. With `recipe.images`, so many images are taken
    at equal distances, so that all classes are among them.

    Raises TooFewImages.
    """

    replacing = True

    def __init__(
        self, files: ImageFiles, recipe: Recipe, device: torch.device, *, readers: int, skip_damaged: bool
    ) -> None:
        view = TrainingView(
            side=recipe.side or SIDE,
            smallest=recipe.smallest,
            interpolation=recipe.interpolation,
            jitter=recipe.jitter,
            augmentation=recipe.augmentation,
            erasing=recipe.erasing,
        )
        super().__init__(files, view, device, readers=readers, skip_damaged=skip_damaged)
        used = len(files) if recipe.images is None else min(recipe.images, len(files))
        self._places = torch.from_numpy(np.linspace(0, len(files), used, endpoint=False, dtype=np.int64))
        self.batch = recipe.batch
        self.count = used - used % recipe.batch
        if not self.count:
            raise TooFewImages(
                f"{used} training images do not fill a batch of {recipe.batch}; use a smaller batch"
            )

    def epoch(
        self, generator: torch.Generator, *, shares: Sequence[int] = (0,), of: int = 1, first: int = 0
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield these shares of every batch from `first` on: normalised floats (B, 3, H, W) and labels (B,)."""
        order = self._places[torch.randperm(len(self._places), generator=generator)]
        seeds = torch.randint(2**62, (len(order),), generator=generator)
        rows = (
            slice(start + share, start + self.batch, of)
            for start in range(first * self.batch, self.count, self.batch)
            for share in shares
        )
        yield from self._read(
            list(zip(order[row].tolist(), seeds[row].tolist(), strict=True)) for row in rows
        )


class FileImages(Files):
    """Images from files for evaluation, in central crops. Files that cannot be decoded are left out."""

    replacing = False

    def __init__(
        self, files: ImageFiles, recipe: Recipe, device: torch.device, *, readers: int, skip_damaged: bool
    ) -> None:
        view = CentralView(
            side=recipe.test_side or recipe.side or SIDE,
            share=recipe.evaluation_crop,
            interpolation=recipe.interpolation,
        )
        super().__init__(files, view, device, readers=readers, skip_damaged=skip_damaged)

    def batches(self, *, part: int = 0, parts: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the images in order: normalised floats (B, 3, H, W) and labels (B,)."""
        places = range(part, len(self._reader), parts)
        starts = range(0, len(places), EVALUATION_BATCH)
        yield from self._read([[(place, 0) for place in places[at : at + EVALUATION_BATCH]] for at in starts])


def _start(_worker: int) -> None:
    keep_memory()


def _as_it_is(batch: Batch) -> Batch:
    return batch
