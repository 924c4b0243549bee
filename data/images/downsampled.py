"""ImageNet16-120 from an ILSVRC-2012 tree, for those who have ImageNet but not its published downsampled files.

The published files hold whole images, resized to 16 × 16 without regard to their proportions, by the mean of boxes
(Chrabaszcz et al., 2017). These are made in the same way, but not with the same versions of libraries, and stand in
another order. The benchmark's lists of validation and test images therefore do not apply to them.
"""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray

from nasgauge.data.atomic import replacing
from nasgauge.data.images.archives import say
from nasgauge.data.images.folders import BROKEN, DamagedImages, ImageFiles, ImageFolders, open_folders
from nasgauge.data.images.image_set import ImageSet, ImagesUnavailable, Split
from nasgauge.data.images.published import IMAGENET16
from nasgauge.data.published import cache_folder

SIDE: Final = 16
CLASSES: Final = tuple(Path(__file__).with_name("imagenet16-classes.txt").read_text().split())
"""The 120 classes in the order of their labels: the first of the numbering of ILSVRC-2012's development kit."""


def downsampled_file(split: Split) -> Path:
    """Path of one split in the cache."""
    return cache_folder() / f"ImageNet16-120-from-folders-{split}.npz"


def open_downsampled(
    split: Split,
    folder: Path | None = None,
    *,
    classes: Sequence[str] = CLASSES,
    skip_damaged: bool = False,
) -> ImageSet:
    """One split of ImageNet16-120, made from the ILSVRC-2012 tree `folder`, or from the cache, where it is kept.

    Its test images are the official validation images of these classes. With `skip_damaged`, files that cannot be decoded
    are left out.

    Raises ImagesUnavailable if a class is missing, DamagedImages.
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
        files = folders.train if split == "train" else folders.valid
        if not _is_made(kept, _source(files, classes), skip_damaged=skip_damaged):
            _make(kept, folders, files, classes, skip_damaged=skip_damaged)
    with np.load(kept, allow_pickle=False) as arrays:
        return ImageSet(IMAGENET16.name, arrays["pixels"], arrays["labels"], IMAGENET16.preparation)


def downsampled(path: Path, side: int = SIDE) -> NDArray[np.uint8]:
    """An image file as bytes (3, side, side), resized whole by the mean of boxes."""
    from PIL import Image

    with Image.open(path) as picture:
        small = picture.convert("RGB").resize((side, side), Image.Resampling.BOX)
    return np.asarray(small).transpose(2, 0, 1)


def _make(
    kept: Path, folders: ImageFolders, files: ImageFiles, classes: Sequence[str], *, skip_damaged: bool
) -> None:
    new = np.full(len(folders.classes), -1)
    for label, name in enumerate(classes):
        new[folders.classes.index(name)] = label
    places = np.flatnonzero(new[files.labels] >= 0)
    say(f"making ImageNet16-120 of {len(places)} images in {files.root}")
    with ThreadPoolExecutor() as pool:
        made = list(pool.map(lambda place: _downsampled_if_whole(Path(files.path(place))), places))
    truncated = [name for name in folders.skipped if _is_of(name, files, classes)]
    broken = [files.name(int(place)) for place, pixels in zip(places, made, strict=True) if pixels is None]
    skipped = sorted([*truncated, *broken])
    if skipped and not skip_damaged:
        raise DamagedImages.of(skipped, len(places) + len(truncated))
    if skipped:
        say(f"left out {len(skipped)} damaged images: {', '.join(skipped)}")
    pixels = np.stack([pixels for pixels in made if pixels is not None])
    whole = [place for place, pixels in zip(places, made, strict=True) if pixels is not None]
    with replacing(kept) as file:
        np.savez(
            file,
            pixels=pixels,
            labels=new[files.labels[whole]],
            source=_source(files, classes),
            skipped=np.array(skipped, str),
        )


def _is_of(name: str, files: ImageFiles, classes: Sequence[str]) -> bool:
    """Whether a file is one of this part and of one of these classes, or perhaps of them, where its folder does not say it."""
    part, *folder, _ = name.split("/")
    return part == files.root.name and set(folder) <= set(classes)


def _downsampled_if_whole(path: Path) -> NDArray[np.uint8] | None:
    try:
        return downsampled(path)
    except BROKEN:
        return None


def _source(files: ImageFiles, classes: Sequence[str]) -> str:
    """What the kept images are made from: the names of the files, without those that are known to be damaged."""
    return hashlib.sha256(
        b"\n".join([*files.names.tolist(), *(name.encode() for name in classes)])
    ).hexdigest()


def left_out() -> tuple[str, ...]:
    """The damaged files that the images in the cache were made without."""
    found = set[str]()
    for split in get_args(Split):
        with np.load(downsampled_file(split), allow_pickle=False) as arrays:
            found.update(arrays["skipped"].tolist() if "skipped" in arrays else ())
    return tuple(sorted(found))


def _is_made(kept: Path, source: str, *, skip_damaged: bool) -> bool:
    if not kept.is_file():
        return False
    with np.load(kept, allow_pickle=False) as arrays:
        same = "skipped" in arrays and str(arrays["source"]) == source
        return same and (skip_damaged or not len(arrays["skipped"]))
