"""CIFAR-100 and ImageNet16-120, read from their published files."""

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from nasgauge.data.atomic import replacing
from nasgauge.data.download import DownloadFailed
from nasgauge.data.images.archives import fetch_archive
from nasgauge.data.images.image_set import ImageSet, ImagesUnavailable, Preparation, Split
from nasgauge.data.importers.cifar import import_cifar_batch, import_class_names
from nasgauge.data.published import cache_folder


@dataclass(frozen=True, kw_only=True)
class PublishedSet:
    """A data set that is published as Python batch files with known checksums. See `CIFAR100` and `IMAGENET16`."""

    name: str
    files: Mapping[Split, Mapping[str, str]]
    """For each split, the MD5 of each file by its name, in the order of the images."""
    counts: Mapping[Split, int]
    """Number of images of the classes that are used."""
    side: int
    """Height and width of an image in pixels."""
    labels: str
    """Key of the labels in a batch file."""
    first: int
    """Label of the first class in the files."""
    classes: int
    """Number of classes that are used, starting with the first."""
    preparation: Preparation
    how: str
    """Instructions for getting the files, used in error messages."""
    inside: str = "."
    """Name of the folder inside the archive."""
    names: tuple[str, str] | None = None
    """Name and MD5 of the file with the class names."""
    archive: str = ""
    """URL of an archive that can be downloaded without signing in."""
    archive_md5: str = ""

    def read(self, folder: Path, split: Split) -> ImageSet:
        """Read one split from a folder of published files, after checking their MD5.

        Raises ImagesUnavailable, ImportFailed.
        """
        if self.names is not None:
            name, md5 = self.names
            self._check(folder, name, md5)
            found = len(import_class_names(self._place(folder) / name, self.labels.rstrip("s") + "_names"))
            if found != self.classes:
                raise ImagesUnavailable(f"{name} names {found} classes; {self.name} has {self.classes}")
        for name, md5 in self.files[split].items():
            self._check(folder, name, md5)
        pixels, labels = [], []
        for name in self.files[split]:
            batch, classes = import_cifar_batch(
                self._place(folder) / name, labels=self.labels, side=self.side
            )
            kept = (classes >= self.first) & (classes < self.first + self.classes)
            pixels.append(batch[kept])
            labels.append(classes[kept] - self.first)
        images = ImageSet(self.name, np.concatenate(pixels), np.concatenate(labels), self.preparation)
        found = len(np.unique(images.labels))
        if (len(images), found) != (self.counts[split], self.classes):
            raise ImagesUnavailable(
                f"{folder} holds {len(images)} {split} images of {found} classes; {self.name} has "
                f"{self.counts[split]} of {self.classes}"
            )
        return images

    def open(self, split: Split, folder: Path | None = None) -> ImageSet:
        """Open one split from the cache.

        With `folder`, the published files in it are read and stored in the cache first. Without it, and with an empty
        cache, the archive is downloaded if the data set has one.

        Raises ImagesUnavailable, ImportFailed.
        """
        kept = self.kept(split)
        if folder is not None:
            self._keep(folder, split)
        elif not kept.is_file():
            self._fetch()
        with np.load(kept, allow_pickle=False) as arrays:
            return ImageSet(self.name, arrays["pixels"], arrays["labels"], self.preparation)

    def is_in(self, folder: Path, split: Split) -> bool:
        """Whether a folder holds files of the names of this data set."""
        names = [*self.files[split], *(self.names or ())[:1]]
        return all((self._place(folder) / name).is_file() for name in names)

    def kept(self, split: Split) -> Path:
        """Path of one split in the cache."""
        return cache_folder() / f"{self.name}-{split}.npz"

    def _keep(self, folder: Path, split: Split) -> None:
        images = self.read(folder, split)
        with replacing(self.kept(split)) as file:
            np.savez(file, pixels=images.pixels, labels=images.labels)

    def _fetch(self) -> None:
        if not self.archive:
            raise ImagesUnavailable(f"{self.name} is not on this machine: {self.how}")
        with tempfile.TemporaryDirectory() as scratch:
            try:
                fetch_archive(self.archive, self.archive_md5, Path(scratch))
            except DownloadFailed as failed:
                raise ImagesUnavailable(f"{failed}: {self.how}") from failed
            for split in self.files:
                self._keep(Path(scratch), split)

    def _place(self, folder: Path) -> Path:
        return folder / self.inside if (folder / self.inside).is_dir() else folder

    def _check(self, folder: Path, name: str, md5: str) -> None:
        path = self._place(folder) / name
        if not path.is_file():
            raise ImagesUnavailable(f"{folder} holds no {name} of {self.name}: {self.how}")
        with path.open("rb") as file:
            found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if found != md5:
            raise ImagesUnavailable(
                f"{path} has md5 {found[:12]}…, {self.name}'s {name} as published has {md5[:12]}…: {self.how}"
            )


CIFAR100: Final = PublishedSet(
    name="cifar100",
    files={
        "train": {"train": "16019d7e3df5f24257cddd939b257f8d"},
        "test": {"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
    },
    names=("meta", "7973b15100ade9c7d40fb424638fde48"),
    counts={"train": 50_000, "test": 10_000},
    side=32,
    labels="fine_labels",
    first=0,
    classes=100,
    preparation=Preparation.of_bytes((129.3, 124.1, 112.4), (68.2, 65.4, 70.4)),
    inside="cifar-100-python",
    archive="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
    archive_md5="eb9058c3a382ffc7106e4002c42a8d85",
    how="get cifar-100-python.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html, unpack it, and give "
    "the folder",
)
"""CIFAR-100 with its 100 fine classes (Krizhevsky, 2009)."""

IMAGENET16: Final = PublishedSet(
    name="ImageNet16-120",
    files={
        "train": {
            "train_data_batch_1": "27846dcaa50de8e21a7d1a35f30f0e91",
            "train_data_batch_2": "c7254a054e0e795c69120a5727050e3f",
            "train_data_batch_3": "4333d3df2e5ffb114b05d2ffc19b1e87",
            "train_data_batch_4": "1620cdf193304f4a92677b695d70d10f",
            "train_data_batch_5": "348b3c2fdbb3940c4e9e834affd3b18d",
            "train_data_batch_6": "6e765307c242a1b3d7d5ef9139b48945",
            "train_data_batch_7": "564926d8cbf8fc4818ba23d2faac7564",
            "train_data_batch_8": "f4755871f718ccb653440b9dd0ebac66",
            "train_data_batch_9": "bb6dd660c38c58552125b1a92f86b5d4",
            "train_data_batch_10": "8f03f34ac4b42271a294f91bf480f29b",
        },
        "test": {"val_data": "3410e3017fdaefba8d5073aaa65e4bd6"},
    },
    counts={"train": 151_700, "test": 6_000},
    side=16,
    labels="labels",
    first=1,
    classes=120,
    preparation=Preparation.of_bytes((122.68, 116.66, 104.01), (63.22, 61.26, 65.09), padding=2),
    how="download downsampled ImageNet, 16×16, from https://image-net.org/download-images after signing in, "
    "unpack train_data_batch_1 to 10 and val_data into one folder, or unpack ILSVRC-2012, and give the folder",
)
"""The first 120 classes of ImageNet at 16 × 16 (Chrabaszcz et al., 2017; Dong and Yang, 2020, section 2.2)."""
