"""CIFAR-10's python batches: pickles of Python 2 with one array of pixels and a list of classes."""

import codecs
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from data.importers.pickles import ImportFailed, unpickle

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


def import_cifar_batch(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (N, 3, 32, 32) and labels (N,) of one batch.

    Raises ImportFailed.
    """
    try:
        with path.open("rb") as file:
            batch = unpickle(file, _CIFAR, encoding="bytes")
        pixels = np.asarray(batch[b"data"], dtype=np.uint8).reshape(-1, 3, 32, 32)
        labels = np.asarray(batch[b"labels"], dtype=np.int64)
    except ImportFailed as error:
        raise ImportFailed(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise ImportFailed(f"{path} is no python batch of CIFAR-10: {error}") from error
    if len(labels) != len(pixels):
        raise ImportFailed(f"{path} holds {len(pixels)} images and {len(labels)} labels")
    return pixels, labels
