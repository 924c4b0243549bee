"""The data sets of NAS-Bench-201 with their train, validation and test splits (Dong and Yang, 2020, section 2.2)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Final, Literal

import numpy as np

from nasgauge.data.images.cifar10 import cifar10_file, open_cifar10
from nasgauge.data.images.downsampled import downsampled_file, left_out, open_downsampled
from nasgauge.data.images.folders import find_tree
from nasgauge.data.images.image_set import ImageSet, ImagesUnavailable, Preparation, Split
from nasgauge.data.images.made_up import CLASSES, made_up
from nasgauge.data.images.published import CIFAR100, IMAGENET16, PublishedSet
from nasgauge.data.index_lists import Origin, halves

Dataset = Literal["cifar10-valid", "cifar10", "cifar100", "ImageNet16-120", "made-up"]
DATASETS: Final[tuple[Dataset, ...]] = ("cifar10-valid", "cifar10", "cifar100", "ImageNet16-120", "made-up")
MADE_UP_SIZES: Final = (512, 256, 256)
"""Training, validation and test images of the synthetic data set `made-up`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Splits:
    """A data set with its training, validation and test images.

    Raises ImagesUnavailable if a label is not below `classes`.

    >>> splits = open_splits("made-up")
    >>> len(splits.train), len(splits.test), splits.side
    (512, 256, 32)
    """

    name: str
    train: ImageSet
    valid: ImageSet | None
    """None for `cifar10`, which trains on all 50,000 images."""
    test: ImageSet
    classes: int
    origin: Origin
    """`official` for the published index lists, `seeded` for splits of the same sizes drawn from a seed."""
    skipped: tuple[str, ...] = ()
    """Damaged image files that were left out."""

    def __post_init__(self) -> None:
        for part in (self.train, self.valid, self.test):
            if part is not None and not 0 <= part.labels.min(initial=0) <= part.labels.max() < self.classes:
                raise ImagesUnavailable(
                    f"{self.name} has {self.classes} classes, but labels from {part.labels.min()} to "
                    f"{part.labels.max()}"
                )

    @property
    def preparation(self) -> Preparation:
        """How all of its images are normalised and cropped: as the training images."""
        return self.train.preparation

    @property
    def side(self) -> int:
        """Height and width of an image in pixels."""
        return int(self.train.pixels.shape[2])


def open_splits(dataset: str, folder: Path | None = None, *, skip_damaged: bool = False) -> Splits:
    """Open a data set from the cache, or from a folder of its published files.

    CIFAR-10 and CIFAR-100 are downloaded if they are not in the cache. ImageNet16-120 needs a folder the first time: of
    its published files, or an ILSVRC-2012 tree, from which it is made; with `skip_damaged`, without the files that cannot be
    decoded.
    `made-up` is synthetic and needs no files. The splits are the official ones if `nasgauge data fetch splits` has
    downloaded the index lists; otherwise they are drawn from a seed (see `Splits.origin`).

    Raises ImagesUnavailable, DamagedImages, ImportFailed, WrongFile.

    >>> open_splits("made-up").classes
    10
    >>> open_splits("ImageNet")
    Traceback (most recent call last):
    ...
    nasgauge.data.images.image_set.ImagesUnavailable: unknown dataset 'ImageNet'; choose from cifar10-valid, cifar10, \
cifar100, ImageNet16-120, made-up; did you mean ImageNet16-120?
    """
    if dataset in ("cifar10-valid", "cifar10"):
        return _cifar10(dataset, folder)
    if dataset == "cifar100":
        return _halved_test(CIFAR100, CIFAR100.open, folder)
    if dataset == "ImageNet16-120":
        return _imagenet16(folder, skip_damaged=skip_damaged)
    if dataset == "made-up":
        return _made_up()
    near = get_close_matches(dataset, DATASETS, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise ImagesUnavailable(f"unknown dataset {dataset!r}; choose from {', '.join(DATASETS)}{hint}")


def is_kept(dataset: str) -> bool:
    """Whether a data set of `DATASETS` is on this machine, so that `open_splits` needs neither a folder nor a network."""
    files = {
        "cifar100": (CIFAR100.kept("train"),),
        "ImageNet16-120": (IMAGENET16.kept("train"), downsampled_file("train")),
    }
    kept = files.get(dataset, (cifar10_file("train"),))
    return dataset == "made-up" or any(path.is_file() for path in kept)


def _cifar10(dataset: str, folder: Path | None) -> Splits:
    train, test = open_cifar10("train", folder), open_cifar10("test", folder)
    valid: ImageSet | None = None
    origin: Origin = "official"
    if dataset == "cifar10-valid":
        parts = halves(dataset, len(train))
        train, valid, origin = train.take(parts.first), train.take(parts.second), parts.origin
    return Splits(
        name=dataset,
        train=train,
        valid=valid,
        test=test,
        classes=10,
        origin=origin,
    )


def _imagenet16(folder: Path | None, *, skip_damaged: bool) -> Splits:
    """From its published files, or made from an ILSVRC-2012 tree, now or before."""
    made = folder is not None and find_tree(folder) is not None
    made |= folder is None and not IMAGENET16.kept("train").is_file() and downsampled_file("train").is_file()
    splits = _halved_test(
        IMAGENET16,
        partial(open_downsampled, skip_damaged=skip_damaged) if made else IMAGENET16.open,
        folder,
        published_order=not made,
    )
    return replace(splits, skipped=left_out()) if made else splits


def _halved_test(
    published: PublishedSet,
    images: Callable[[Split, Path | None], ImageSet],
    folder: Path | None,
    *,
    published_order: bool = True,
) -> Splits:
    """A data set whose test images are halved into validation and test."""
    test = images("test", folder)
    parts = halves(published.name, len(test), published_order=published_order)
    return Splits(
        name=published.name,
        train=images("train", folder),
        valid=test.take(parts.first),
        test=test.take(parts.second),
        classes=published.classes,
        origin=parts.origin,
    )


def _made_up() -> Splits:
    rngs = np.random.default_rng(0).spawn(len(MADE_UP_SIZES))
    drawn = [made_up(count, rng) for count, rng in zip(MADE_UP_SIZES, rngs, strict=True)]
    pixels = drawn[0].pixels
    how = Preparation.of_bytes(pixels.mean((0, 2, 3)).tolist(), pixels.std((0, 2, 3)).tolist())
    train, valid, test = (replace(images, preparation=how) for images in drawn)
    return Splits(name="made-up", train=train, valid=valid, test=test, classes=CLASSES, origin="seeded")
