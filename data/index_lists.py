"""The benchmark's published lists of training, validation and test images, or seeded random halves."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from nasgauge.data.atomic import replacing
from nasgauge.data.download import Progress
from nasgauge.data.published import SourceFile, WrongFile, bring, cache_folder

STAND_IN_SEED: Final = 201
"""Of the random halves that are used where the lists are not on this machine."""

Origin = Literal["official", "seeded"]
_COMMIT: Final = "a84f48388215d043d94c12c912e6a1defafca891"


@dataclass(frozen=True, kw_only=True)
class IndexFile:
    """A published pair of lists that halves a set of images."""

    file: SourceFile
    halves: tuple[str, str]
    """Their keys in the file."""
    images: int
    """Number of images in both halves."""


@dataclass(frozen=True, eq=False)
class Halves:
    """Indices of images, ascending: two disjoint halves of a set."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    origin: Origin


def _published(name: str, size: int, sha256: str) -> SourceFile:
    return SourceFile(
        name=name,
        repository="D-X-Y/AutoDL-Projects",
        commit=_COMMIT,
        path=f"configs/nas-benchmark/{name}",
        size=size,
        sha256=sha256,
        licence="MIT",
    )


INDEX_FILES: Final[Mapping[str, IndexFile]] = MappingProxyType(
    {
        "cifar10-valid": IndexFile(
            file=_published(
                "cifar-split.txt", 438_970, "986da6174822048d4c5a25ee8ebdb7e754cd5372b51c633ffd4898ace8db9e32"
            ),
            halves=("train", "valid"),
            images=50_000,
        ),
        "cifar100": IndexFile(
            file=_published(
                "cifar100-test-split.txt",
                78_970,
                "14a5e3708e790ad57f987cdbcf202f724519475d6e8b0db34d0182e73b581bba",
            ),
            halves=("xvalid", "xtest"),
            images=10_000,
        ),
        "ImageNet16-120": IndexFile(
            file=_published(
                "imagenet-16-120-test-split.txt",
                46_970,
                "c0edac1d3676a9f21acea8feeb31336202d75b1a73df62aec31c6b45bb289a18",
            ),
            halves=("xvalid", "xtest"),
            images=6_000,
        ),
    }
)
"""By dataset: CIFAR-10's training set in two, and two test sets in two (Dong and Yang, 2020, section 2.2)."""

SPLIT_FILES: Final = tuple(lists.file for lists in INDEX_FILES.values())


def splits_folder() -> Path:
    """Folder of the downloaded lists."""
    return cache_folder() / "splits"


def fetch_splits(
    *,
    again: bool = False,
    mirror: str | None = None,
    progress: Progress = lambda _count: None,
    timeout: float = 20.0,
) -> Path:
    """Download the lists that are missing, or all of them `again`; returns their folder.

    Those that are there are replaced once all new ones are there.

    Raises DownloadFailed.
    """
    if again:
        with tempfile.TemporaryDirectory() as fresh:
            bring(SPLIT_FILES, Path(fresh), mirror=mirror, progress=progress, timeout=timeout)
            return keep_splits(Path(fresh))
    bring(SPLIT_FILES, splits_folder(), mirror=mirror, progress=progress, timeout=timeout)
    return splits_folder()


def kept_splits() -> Path | None:
    """The folder of the lists if all of them are there and whole."""
    try:
        for file in SPLIT_FILES:
            file.check(splits_folder() / file.name)
    except WrongFile:
        return None
    return splits_folder()


def keep_splits(folder: Path) -> Path:
    """Check the lists in `folder` and copy them to the cache; returns their folder.

    Raises WrongFile.
    """
    for file in SPLIT_FILES:
        file.check(folder / file.name)
    for file in SPLIT_FILES:
        with replacing(splits_folder() / file.name) as kept:
            kept.write((folder / file.name).read_bytes())
    return splits_folder()


def halves(dataset: str, size: int | None = None, *, published_order: bool = True) -> Halves:
    """The published halves if they are on this machine, otherwise seeded random ones of the same sizes.

    A set of another `size` than the published one, or in another order, has seeded halves.

    Raises WrongFile if a list is damaged.

    >>> stand_in = halves("cifar100", size=6)
    >>> stand_in.origin, sorted([*stand_in.first.tolist(), *stand_in.second.tolist()])
    ('seeded', [0, 1, 2, 3, 4, 5])
    """
    lists = INDEX_FILES[dataset]
    size = lists.images if size is None else size
    path = splits_folder() / lists.file.name
    if published_order and size == lists.images and path.is_file():
        lists.file.check(path)
        return _read(path, lists)
    order = np.random.default_rng(STAND_IN_SEED).permutation(size)
    return Halves(np.sort(order[: size // 2]), np.sort(order[size // 2 :]), "seeded")


def _read(path: Path, lists: IndexFile) -> Halves:
    kept = json.loads(path.read_text())  # {"train": ["int", ["0", "5", …]], …}
    first, second = (np.array(kept[key][1], dtype=np.int64) for key in lists.halves)
    whole = np.sort(np.concatenate([first, second]))
    if not np.array_equal(whole, np.arange(lists.images)):
        raise WrongFile(f"{path} does not halve {lists.images} images; run: nasgauge data fetch splits")
    return Halves(first, second, "official")
