"""Sizes of the data sets that networks are trained on."""

from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final, NamedTuple

from nasgauge.spaces.errors import NasgaugeError


class UnknownDataset(NasgaugeError, LookupError):
    """Raised for the name of a data set that does not exist."""


class Size(NamedTuple):
    """Size of a data set."""

    classes: int
    images: int
    """Training images."""
    side: int | None
    """Height and width of an image in pixels; None for photographs, which the recipe crops."""


SIZES: Final[Mapping[str, Size]] = MappingProxyType(
    {
        "cifar10-valid": Size(10, 25_000, 32),
        "cifar10": Size(10, 50_000, 32),
        "cifar100": Size(100, 50_000, 32),
        "ImageNet16-120": Size(120, 151_700, 16),
        "imagenet": Size(1_000, 1_281_167, None),
        "made-up": Size(10, 512, 32),
    }
)


def size_of(dataset: str) -> Size:
    """The size of a data set.

    Raises UnknownDataset.

    >>> size_of("imagenet").classes
    1000
    """
    try:
        return SIZES[dataset]
    except KeyError:
        near = get_close_matches(dataset, SIZES, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UnknownDataset(f"unknown dataset {dataset!r}; choose from {', '.join(SIZES)}{hint}") from None
