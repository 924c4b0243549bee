"""The python batches of CIFAR-10, CIFAR-100 and downsampled ImageNet: an array of pixels and a list of classes."""

import codecs
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nasgauge.data.importers.pickles import ImportFailed, unpickle

_RECONSTRUCT = np.zeros(0).__reduce__()[0]
_CIFAR: Final = MappingProxyType(
    {
        ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
        ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): codecs.encode,
    }
)


def import_cifar_batch(
    path: Path, *, labels: str = "labels", side: int = 32
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (N, 3, side, side) and the classes (N,) that the batch keeps under `labels`, as they are there.

    Raises ImportFailed.
    """
    batch = _open(path)
    try:
        data = np.asarray(_entry(batch, "data"), dtype=np.uint8)
        pixels = data.reshape(len(data), 3, side, side)
        classes = np.asarray(_entry(batch, labels), dtype=np.int64)
    except (KeyError, TypeError, ValueError) as error:
        raise ImportFailed(f"{path} is no python batch of {side}×{side} images: {error}") from error
    if len(classes) != len(pixels):
        raise ImportFailed(f"{path} holds {len(pixels)} images and {len(classes)} labels")
    return pixels, classes


def import_class_names(path: Path, key: str) -> tuple[str, ...]:
    """The names of the classes in a `meta` file.

    Raises ImportFailed.
    """
    try:
        names = list(_entry(_open(path), key))
    except (KeyError, TypeError) as error:
        raise ImportFailed(f"{path} holds no names of classes: {error}") from error
    return tuple(name.decode() if isinstance(name, bytes) else str(name) for name in names)


def _open(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            return unpickle(file, _CIFAR, encoding="bytes")
    except ImportFailed as error:
        raise ImportFailed(f"{path}: {error}") from error


def _entry(batch: Any, key: str) -> Any:
    """Python 2 wrote texts as bytes, Python 3 as texts."""
    return batch[key] if key in batch else batch[key.encode()]
