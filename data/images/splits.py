"""The benchmark's datasets as it trains and tests on them (Dong and Yang, 2020, section 2.2)."""

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final, Literal

import numpy as np

from nasgauge.data.images.cifar10 import open_cifar10
from nasgauge.data.images.draws import DEVIATION, MEAN
from nasgauge.data.images.image_set import ImageSet, ImagesUnavailable
from nasgauge.data.images.made_up import CLASSES, made_up
from nasgauge.data.images.published import CIFAR100, IMAGENET16, PublishedSet
from nasgauge.data.index_lists import Origin, halves

Dataset = Literal["cifar10-valid", "cifar10", "cifar100", "ImageNet16-120", "made-up"]
DATASETS: Final[tuple[Dataset, ...]] = ("cifar10-valid", "cifar10", "cifar100", "ImageNet16-120", "made-up")
MADE_UP_SIZES: Final = (512, 256, 256)

Colour = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True, eq=False)
class Splits:
    """What is trained on, searched on, and reported, and how its images are shown to a network."""

    name: str
    train: ImageSet
    valid: ImageSet | None
    """None where the benchmark keeps none back."""
    test: ImageSet
    classes: int
    mean: Colour
    """Of each channel, black 0 to white 1."""
    deviation: Colour
    padding: int
    """Pixels around an image before it is cropped."""
    origin: Origin
    """Whether the images of each part are the published ones, or as many drawn from a seed."""

    def __post_init__(self) -> None:
        for part in (self.train, self.valid, self.test):
            if part is not None and not 0 <= part.labels.min(initial=0) <= part.labels.max() < self.classes:
                raise ImagesUnavailable(
                    f"{self.name} has {self.classes} classes, but labels from {part.labels.min()} to "
                    f"{part.labels.max()}"
                )

    @property
    def side(self) -> int:
        """Height and width of an image in pixels."""
        return int(self.train.pixels.shape[2])


def open_splits(dataset: str, folder: Path | None = None) -> Splits:
    """A dataset of the benchmark, from the cache, or from a folder of its published files.

    CIFAR-10 and CIFAR-100 are fetched where they are not at hand; ImageNet16-120 has to be given once.
    `made-up` needs nothing. Parts are the published ones if `nasgauge data fetch splits` brought the lists.

    Raises ImagesUnavailable, ImportFailed, WrongFile.
    """
    if dataset in ("cifar10-valid", "cifar10"):
        return _cifar10(dataset, folder)
    if dataset == "cifar100":
        return _halved_test(
            CIFAR100, folder, mean=(129.3, 124.1, 112.4), deviation=(68.2, 65.4, 70.4), padding=4
        )
    if dataset == "ImageNet16-120":
        return _halved_test(
            IMAGENET16, folder, mean=(122.68, 116.66, 104.01), deviation=(63.22, 61.26, 65.09), padding=2
        )
    if dataset == "made-up":
        return _made_up()
    near = get_close_matches(dataset, DATASETS, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise ImagesUnavailable(f"unknown dataset {dataset!r}; choose from {', '.join(DATASETS)}{hint}")


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
        mean=MEAN,
        deviation=DEVIATION,
        padding=4,
        origin=origin,
    )


def _halved_test(
    published: PublishedSet, folder: Path | None, *, mean: Colour, deviation: Colour, padding: int
) -> Splits:
    """Colours 0 to 255."""
    test = published.open("test", folder)
    parts = halves(published.name, len(test))
    return Splits(
        name=published.name,
        train=published.open("train", folder),
        valid=test.take(parts.first),
        test=test.take(parts.second),
        classes=published.classes,
        mean=_to_one(mean),
        deviation=_to_one(deviation),
        padding=padding,
        origin=parts.origin,
    )


def _made_up() -> Splits:
    rngs = np.random.default_rng(0).spawn(len(MADE_UP_SIZES))
    train, valid, test = (made_up(count, rng) for count, rng in zip(MADE_UP_SIZES, rngs, strict=True))
    mean = train.pixels.mean((0, 2, 3)).tolist()
    deviation = train.pixels.std((0, 2, 3)).tolist()
    return Splits(
        name="made-up",
        train=train,
        valid=valid,
        test=test,
        classes=CLASSES,
        mean=_to_one(mean),
        deviation=_to_one(deviation),
        padding=4,
        origin="seeded",
    )


def _to_one(colour: Colour) -> Colour:
    return colour[0] / 255, colour[1] / 255, colour[2] / 255
