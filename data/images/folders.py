"""ILSVRC-2012 (ImageNet-1k) as folders of JPEGs: one folder for each class, in `train` and in `val`."""

import csv
import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from nasgauge.data.atomic import replacing
from nasgauge.data.images.image_set import ImagesUnavailable
from nasgauge.data.published import cache_folder

MOST_CLASSES: Final = 1000
MEAN: Final = (0.485, 0.456, 0.406)
DEVIATION: Final = (0.229, 0.224, 0.225)
"""Channel means and standard deviations of ImageNet, for images in [0, 1], as in torchvision's reference trainings."""

_SUFFIXES: Final = frozenset({".jpeg", ".jpg", ".png"})
_INSIDE: Final = (
    ".",
    "ILSVRC/Data/CLS-LOC",
)  # the folder of `train` and `val`; the latter in Kaggle's archive
_SOLUTION: Final = "LOC_val_solution.csv"  # the classes of Kaggle's validation images
_TAIL: Final = 1024  # bytes
_ENDS: Final = (b"\xff\xd9", b"IEND")  # the last marker of a JPEG, the last chunk of a PNG
BROKEN: Final = (OSError, SyntaxError, ValueError)
"""Pillow's errors for files that are truncated or otherwise broken."""
_NAMED: Final = 5  # files or classes that an error names


class DamagedImages(ImagesUnavailable):
    """Raised for image files that are truncated or cannot be decoded."""

    @classmethod
    def of(cls, names: Sequence[str], total: int) -> "DamagedImages":
        """The error for these files out of `total`."""
        return cls(
            f"{len(names)} of {total} images cannot be decoded: {_first(names)}; restore them, or leave them out "
            "with --skip-damaged"
        )


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """Labelled image files below a folder."""

    root: Path
    names: NDArray[np.bytes_]
    """(N,), relative to `root`, sorted. An array, because worker processes would copy a million Python strings."""
    labels: NDArray[np.int64]
    """(N,), classes counted from 0."""

    def __len__(self) -> int:
        return len(self.names)

    def name(self, place: int) -> str:
        """Name of the file at this place, with that of the folder `root`."""
        return f"{self.root.name}/{bytes(self.names[place]).decode()}"

    def path(self, place: int) -> str:
        """Path of the file at this place."""
        return f"{self.root}/{bytes(self.names[place]).decode()}"


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageFolders:
    """The training and validation files of an ILSVRC-2012 tree; see `open_folders`."""

    train: ImageFiles
    valid: ImageFiles
    classes: tuple[str, ...]
    """Names of the class folders, sorted; the place of a name is the label of its images."""
    skipped: tuple[str, ...]
    """Damaged files that were left out."""

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the names of the training files; their contents, 138 GB, are not read for it."""
        return hashlib.sha256(b"\n".join(self.train.names.tolist())).hexdigest()


def find_tree(folder: Path) -> Path | None:
    """The folder of `train` and `val` in an ILSVRC-2012 tree; None for another folder."""
    tops = (folder / inside for inside in _INSIDE)
    return next((top for top in tops if (top / "train").is_dir() and (top / "val").is_dir()), None)


def open_folders(folder: Path, *, skip_damaged: bool = False) -> ImageFolders:
    """Find the images of an ILSVRC-2012 tree: `folder` holds `train` and `val` with one folder for each class.

    The archive of Kaggle is read as it is unpacked, with the validation images in a single folder. A tree with fewer
    than 1,000 classes is a smaller data set, if both parts have the same classes. The last bytes of every file are
    read once, because a truncated file lacks its end marker. The result is kept in the cache and is used as long as
    no class folder changes. With `skip_damaged`, truncated files are left out.

    Raises ImagesUnavailable for missing or superfluous classes, DamagedImages for truncated files.
    """
    top = find_tree(folder)
    if top is None:
        raise ImagesUnavailable(
            f"{folder} is no ILSVRC-2012 tree; give a folder that holds train and val, with a folder for each class"
        )
    solution = _solution(folder / _SOLUTION)
    train, valid = _Part.find(top / "train", {}), _Part.find(top / "val", solution)
    classes = _common_classes(train, valid)
    damaged = [f"{part.root.name}/{name}" for part in (train, valid) for name in part.truncated()]
    if damaged and not skip_damaged:
        raise DamagedImages.of(damaged, len(train.names) + len(valid.names))
    return ImageFolders(
        train=train.files(classes), valid=valid.files(classes), classes=classes, skipped=tuple(damaged)
    )


@dataclass(frozen=True, eq=False)
class _Part:
    """The files of `train` or `val`."""

    root: Path
    folders: tuple[str, ...]
    names: list[str]
    classes: list[str]
    """The class of each file."""
    damaged: NDArray[np.bool_]

    @classmethod
    def find(cls, root: Path, solution: Mapping[str, str]) -> "_Part":
        """The files below `root`; those in no class folder have the classes of `solution`, by their stems."""
        folders = tuple(sorted(path.name for path in root.iterdir() if path.is_dir()))
        if len(folders) > MOST_CLASSES:
            raise ImagesUnavailable(
                f"{root} holds {len(folders)} class folders, ILSVRC-2012 has at most {MOST_CLASSES}; remove "
                f"the others, perhaps {_first(folders[MOST_CLASSES:])}"
            )
        names, damaged = _listed(root, folders)
        unknown = [name for name in names if "/" not in name and Path(name).stem not in solution]
        if unknown:
            raise ImagesUnavailable(
                f"{root} holds {len(unknown)} images in no class folder ({_first(unknown)}); sort them into a "
                f"folder for each class, or put {_SOLUTION} of Kaggle's archive beside it"
            )
        classes = [name.partition("/")[0] if "/" in name else solution[Path(name).stem] for name in names]
        return cls(root, folders or tuple(sorted(set(classes))), names, classes, damaged)

    def truncated(self) -> list[str]:
        """Names of the damaged files. They are looked at again, because they may have been restored in place."""
        places = np.flatnonzero(self.damaged)
        self.damaged[places] = [_is_truncated(self.root / self.names[place]) for place in places]
        return [self.names[place] for place in np.flatnonzero(self.damaged)]

    def files(self, classes: Sequence[str]) -> ImageFiles:
        """The files that are not damaged, with their labels."""
        kept = np.flatnonzero(~self.damaged)
        labels = {name: label for label, name in enumerate(classes)}
        return ImageFiles(
            self.root,
            np.array([self.names[place].encode() for place in kept]),
            np.array([labels[self.classes[place]] for place in kept], np.int64),
        )


def _common_classes(train: _Part, valid: _Part) -> tuple[str, ...]:
    """The classes of both parts.

    Raises ImagesUnavailable.
    """
    if not train.folders:
        raise ImagesUnavailable(f"{train.root} holds no class folders")
    for part, other in ((train, valid), (valid, train)):
        missing = sorted(set(other.folders) - set(part.classes)) or sorted(
            set(part.folders) - set(part.classes)
        )
        if missing:
            raise ImagesUnavailable(
                f"{part.root} has no images of {len(missing)} of {len(other.folders)} classes: {_first(missing)}; "
                f"copy them, or remove the folders of these classes from {train.root.parent}"
            )
    return train.folders


def _listed(root: Path, folders: Sequence[str]) -> tuple[list[str], NDArray[np.bool_]]:
    """Sorted names of the images in `root` and in these folders of it, and which are truncated; from the cache if it can be."""
    stamps = [f"{name} {(root / name).stat().st_mtime_ns}" for name in (".", *folders)]
    state = hashlib.sha256("\n".join(stamps).encode()).hexdigest()
    place = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]
    kept = cache_folder() / f"image-folders-{place}.npz"
    kept.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(kept.with_suffix(".lock")):
        if kept.is_file():
            with np.load(kept, allow_pickle=False) as arrays:
                if str(arrays["state"]) == state:
                    return [name.decode() for name in arrays["names"].tolist()], arrays["damaged"]
        with ThreadPoolExecutor(32) as pool:  # most of the time is spent waiting for the disk
            found = sorted(
                entry
                for entries in pool.map(_look, [root] * (len(folders) + 1), ("", *folders))
                for entry in entries
            )
        names, damaged = [name for name, _ in found], np.array([bad for _, bad in found], np.bool_)
        encoded = np.array([name.encode() for name in names], np.bytes_)
        with replacing(kept) as file:
            np.savez(file, state=state, names=encoded, damaged=damaged)
    return names, damaged


def _look(root: Path, folder: str) -> list[tuple[str, bool]]:
    """Names of the images in a folder, relative to `root`, and whether they are truncated."""
    return [
        (f"{folder}/{path.name}" if folder else path.name, _is_truncated(path))
        for path in (root / folder).iterdir()
        if path.suffix.lower() in _SUFFIXES
    ]


def _is_truncated(path: Path) -> bool:
    """Whether an image file lacks its end; a file with much after its end is decoded to find out."""
    from PIL import Image

    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - _TAIL, 0))
        tail = file.read()
    if any(end in tail for end in _ENDS):
        return False
    try:
        with Image.open(path) as picture:
            picture.load()
    except BROKEN:
        return True
    return False


def _solution(path: Path) -> dict[str, str]:
    """The class of each validation image by the stem of its file, from Kaggle's table, if it is there."""
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {row["ImageId"]: row["PredictionString"].split()[0] for row in csv.DictReader(file)}


def _first(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
