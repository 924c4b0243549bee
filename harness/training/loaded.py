"""Data sets that are ready for training on a device: images in memory, or files that are read as they are needed."""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from lightning_fabric import Fabric

from nasgauge.data.images import ImagesUnavailable, Splits, is_kept, open_splits
from nasgauge.data.images.folders import ImageFolders, open_folders
from nasgauge.harness.records.datasets import size_of
from nasgauge.harness.records.recipes import Recipe
from nasgauge.harness.training.feeding import Augmenter, DeviceImages, Feed, HeldOutImages
from nasgauge.harness.training.loop import HeldOut
from nasgauge.harness.training.machine import Machine
from nasgauge.harness.training.reading import SIDE, FileFeed, FileImages, Files
from nasgauge.harness.training.units import DataIdentity

IMAGENET: Final = "imagenet"


class Loaded(Protocol):
    """A data set on a machine, shared by successive trainings."""

    machine: Machine
    fabric: Fabric
    name: str
    classes: int

    @property
    def origin(self) -> str:
        """`official` for the published split, `seeded` for one drawn from a seed."""

    @property
    def images_sha256(self) -> str:
        """SHA-256 of what identifies the training images and labels."""

    @property
    def classes_id(self) -> str:
        """What tells the classes of these images from others."""

    @property
    def skipped(self) -> tuple[str, ...]:
        """Damaged files that were left out."""

    def side(self, recipe: Recipe) -> int:
        """Height and width in pixels of the images that a network is trained on."""

    def feed(self, recipe: Recipe) -> Feed:
        """The training images."""

    def held_out(self, recipe: Recipe) -> Mapping[HeldOut, HeldOutImages]:
        """The images for evaluation."""


def load(dataset: str, images: Path | None, machine: Machine, *, skip_damaged: bool = False) -> Loaded:
    """Open a data set on a machine: `imagenet` from the ILSVRC-2012 tree `images`, or one that `open_splits` opens.

    Raises UnknownDataset, ImagesUnavailable, DamagedImages, InvalidBatch, InvalidMachine.

    >>> load("imagenet", None, Machine(device="cpu"))
    Traceback (most recent call last):
    ...
    nasgauge.data.images.image_set.ImagesUnavailable: imagenet needs the folder of ILSVRC-2012 that holds train and val; \
give it with --images
    """
    size_of(dataset)
    if dataset != IMAGENET:
        return LoadedSplits(open_splits(dataset, images, skip_damaged=skip_damaged), machine)
    if images is None:
        raise ImagesUnavailable(
            "imagenet needs the folder of ILSVRC-2012 that holds train and val; give it with --images"
        )
    return LoadedFolders(open_folders(images, skip_damaged=skip_damaged), machine, skip_damaged=skip_damaged)


def identity_here(dataset: str, images: Path | None, *, skip_damaged: bool = False) -> DataIdentity | None:
    """What a data set is on this machine; None where it would have to be given or downloaded first.

    Raises ImagesUnavailable, DamagedImages.

    >>> identity_here("made-up", None).splits
    'seeded'
    """
    if dataset != IMAGENET:
        if images is None and not is_kept(dataset):
            return None
        splits = open_splits(dataset, images, skip_damaged=skip_damaged)
        return DataIdentity(splits.origin, _sha256_of(splits))
    if images is None:
        return None
    return DataIdentity(LoadedFolders.origin, open_folders(images, skip_damaged=skip_damaged).sha256)


def identity_of(loaded: Loaded) -> DataIdentity:
    """The same of a data set that is loaded."""
    return DataIdentity(loaded.origin, loaded.images_sha256)


def _sha256_of(splits: Splits) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(splits.train.pixels).data)
    digest.update(np.ascontiguousarray(splits.train.labels, "<i8").data)
    return digest.hexdigest()


class LoadedSplits:
    """A data set in the memory of a device.

    Raises InvalidBatch, InvalidMachine.

    >>> loaded = LoadedSplits(open_splits("made-up"), Machine(device="cpu", precision="32"))
    >>> len(loaded.train), loaded.classes
    (512, 10)
    """

    def __init__(self, splits: Splits, machine: Machine) -> None:
        self.name = splits.name
        self.skipped = splits.skipped
        self.origin = splits.origin
        self.classes = splits.classes
        self.machine = machine.resolved()
        self.fabric: Fabric = machine.fabric()
        self._splits = splits
        self.train = self._put("train")
        self._held_out: Mapping[HeldOut, DeviceImages] = {
            name: self._put(name) for name in ("valid", "test") if getattr(splits, name) is not None
        }

    @cached_property
    def images_sha256(self) -> str:
        """SHA-256 of the training images and labels."""
        return _sha256_of(self._splits)

    @property
    def classes_id(self) -> str:
        """The number of classes; the data set says which they are."""
        return str(self.classes)

    def side(self, recipe: Recipe) -> int:  # noqa: ARG002 - images are used at their own size
        """Height and width of the images in pixels."""
        return self._splits.side

    def feed(self, recipe: Recipe) -> Augmenter:
        """The training images, with flips and padded crops."""
        return Augmenter(self.train, recipe, padding=self._splits.preparation.padding)

    def held_out(self, recipe: Recipe) -> Mapping[HeldOut, HeldOutImages]:  # noqa: ARG002 - the same for all
        """The images for evaluation."""
        return self._held_out

    def _put(self, part: str) -> DeviceImages:
        images, how = getattr(self._splits, part), self._splits.preparation
        return DeviceImages.put(images.pixels, images.labels, how.mean, how.deviation, self.fabric.device)


class LoadedFolders:
    """An ILSVRC-2012 tree, read by worker processes. The official validation images are `valid`; there is no `test`.

    Raises InvalidBatch, InvalidMachine.
    """

    name = IMAGENET
    origin = "official"

    def __init__(self, folders: ImageFolders, machine: Machine, *, skip_damaged: bool = False) -> None:
        self.classes = len(folders.classes)
        self.machine = machine.resolved()
        self.fabric: Fabric = machine.fabric()
        self._folders = folders
        self._readers = self.machine.readers or 0
        self._skip = skip_damaged
        self._files = list[Files]()

    @property
    def images_sha256(self) -> str:
        """SHA-256 of the names of the training files."""
        return self._folders.sha256

    @property
    def classes_id(self) -> str:
        """The number of classes, and the beginning of the SHA-256 of their names."""
        digest = hashlib.sha256("\n".join(self._folders.classes).encode()).hexdigest()
        return f"{self.classes} ({digest[:8]})"

    @property
    def skipped(self) -> tuple[str, ...]:
        """Damaged files that were left out, or replaced while they were read."""
        return (*self._folders.skipped, *sorted(set[str]().union(*(files.damaged for files in self._files))))

    def side(self, recipe: Recipe) -> int:
        """Height and width of the training crops in pixels."""
        return recipe.side or SIDE

    def feed(self, recipe: Recipe) -> FileFeed:
        """The training images, in random crops.

        Raises TooFewImages.
        """
        feed = FileFeed(
            self._folders.train, recipe, self.fabric.device, readers=self._readers, skip_damaged=self._skip
        )
        self._files.append(feed)
        return feed

    def held_out(self, recipe: Recipe) -> Mapping[HeldOut, HeldOutImages]:
        """The official validation images, in central crops."""
        images = FileImages(
            self._folders.valid, recipe, self.fabric.device, readers=self._readers, skip_damaged=self._skip
        )
        self._files.append(images)
        return {"valid": images}
