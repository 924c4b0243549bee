"""ImageNet16-120 from an ILSVRC-2012 tree, for those who have ImageNet but not its published downsampled files.

The published files hold whole images, resized to 16 × 16 without regard to their proportions, by the mean of boxes
(Chrabaszcz et al., 2017). These are made in the same way, but not with the same versions of libraries, and stand in
another order. The benchmark's lists of validation and test images therefore do not apply to them.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nasgauge.data.atomic import replacing
from nasgauge.data.images.archives import say
from nasgauge.data.images.folders import ImageFiles, ImageFolders, open_folders
from nasgauge.data.images.image_set import ImageSet, ImagesUnavailable, Split
from nasgauge.data.published import cache_folder

SIDE: Final = 16
CLASSES: Final = tuple(Path(__file__).with_name("imagenet16-classes.txt").read_text().split())
"""The 120 classes in the order of their labels: the first of the numbering of ILSVRC-2012's development kit."""


def downsampled_file(split: Split) -> Path:
    """Path of one split in the cache."""
    return cache_folder() / f"ImageNet16-120-from-folders-{split}.npz"


def open_downsampled(
    split: Split, folder: Path | None = None, *, classes: Sequence[str] = CLASSES
) -> ImageSet:
    """One split of ImageNet16-120, made from the ILSVRC-2012 tree `folder`, or from the cache, where it is kept.

    Its test images are the official validation images of these classes. Damaged files are left out.

    Raises ImagesUnavailable if a class is missing.
    """
    kept = downsampled_file(split)
    if folder is not None:
        folders = open_folders(folder, skip_damaged=True)
        missing = sorted(set(classes) - set(folders.classes))
        if missing:
            raise ImagesUnavailable(
                f"{folder} lacks {len(missing)} of the {len(classes)} classes of ImageNet16-120, among them {missing[0]}; "
                "give the whole of ILSVRC-2012"
            )
        if not (kept.is_file() and _made_from(kept) == folders.sha256):
            _make(kept, folders, folders.train if split == "train" else folders.valid, classes)
    with np.load(kept, allow_pickle=False) as arrays:
        return ImageSet("ImageNet16-120", arrays["pixels"], arrays["labels"])


def downsampled(path: Path, side: int = SIDE) -> NDArray[np.uint8]:
    """An image file as bytes (3, side, side), resized whole by the mean of boxes."""
    from PIL import Image

    with Image.open(path) as picture:
        small = picture.convert("RGB").resize((side, side), Image.Resampling.BOX)
    return np.asarray(small).transpose(2, 0, 1)


def _make(kept: Path, folders: ImageFolders, files: ImageFiles, classes: Sequence[str]) -> None:
    new = np.full(len(folders.classes), -1)
    for label, name in enumerate(classes):
        new[folders.classes.index(name)] = label
    places = np.flatnonzero(new[files.labels] >= 0)
    say(f"making ImageNet16-120 of {len(places)} images in {files.root}")
    with ThreadPoolExecutor() as pool:
        pixels = list(pool.map(lambda place: downsampled(Path(files.path(place))), places))
    with replacing(kept) as file:
        np.savez(file, pixels=np.stack(pixels), labels=new[files.labels[places]], source=folders.sha256)


def _made_from(kept: Path) -> str:
    with np.load(kept, allow_pickle=False) as arrays:
        return str(arrays["source"])
