"""A small tree of real JPEGs in the layout of ILSVRC-2012, from the shipped images of CIFAR-10."""

from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from nasgauge.data.images import ImageSet, open_images

CLASSES: Final = ("n00000001", "n00000002", "n00000003", "n00000004")
GREY: Final = "train/n00000001/grey.JPEG"
CMYK: Final = "train/n00000002/cmyk.JPEG"
PNG: Final = "train/n00000003/png.JPEG"
TRUNCATED: Final = "train/n00000003/truncated.JPEG"


@cache
def sample() -> ImageSet:
    return open_images("sample")


def picture(place: int, label: int, side: int) -> Image.Image:
    """A mosaic of images of one class, of odd size; its file is as large as a photograph's."""
    images = sample()
    rng = np.random.default_rng(place)
    width, height = side + int(rng.integers(side)) | 1, side + int(rng.integers(side)) | 1
    own = images.pixels[images.labels == label]
    rows, columns = -(-height // 32), -(-width // 32)
    tiles = own[rng.integers(len(own), size=(rows, columns))].transpose(0, 3, 1, 4, 2)
    return Image.fromarray(tiles.reshape(rows * 32, columns * 32, 3)[:height, :width])


def write_tree(
    folder: Path, *, train: int = 16, valid: int = 4, side: int = 40, truncated: bool = False
) -> Path:
    """Write so many images of each of four classes, among them a grey one, a CMYK one and a PNG named .JPEG."""
    place = 0
    for part, count in (("train", train), ("val", valid)):
        for label, name in enumerate(CLASSES):
            (folder / part / name).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                picture(place, label, side).save(folder / part / name / f"{part}_{number}.JPEG", quality=90)
                place += 1
    picture(place, 0, side).convert("L").save(folder / GREY, quality=90)
    picture(place, 1, side).convert("CMYK").save(folder / CMYK, quality=90)
    picture(place, 2, side).save(folder / PNG, format="PNG")
    if truncated:
        whole = (folder / "train" / CLASSES[2] / "train_0.JPEG").read_bytes()
        (folder / TRUNCATED).write_bytes(whole[: len(whole) // 2])
    return folder
