"""Checkpoints of a training in the safetensors format, written atomically and without pickle."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from nasgauge.data.atomic import replacing
from nasgauge.spaces.errors import NasgaugeError

FORMAT: Final = "1"
_KEY: Final = "nasgauge"


class WrongCheckpoint(NasgaugeError, ValueError):
    """Raised for a file that is not a checkpoint, or is a checkpoint of another training."""


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], identity: str, done: int) -> None:
    """Write tensors with an identifier of the training and its number of completed epochs.

    >>> import tempfile, torch
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "checkpoint.safetensors"
    ...     save_checkpoint(path, {"weight": torch.ones(2)}, "a cell, seed 0", 3)
    ...     tensors, epochs = load_checkpoint(path, "a cell, seed 0")
    >>> tensors["weight"], epochs
    (tensor([1., 1.]), 3)
    """
    about = json.dumps({"format": FORMAT, "identity": identity, "epochs": done})
    with replacing(path) as file:
        file.write(save(dict(tensors), {_KEY: about}))


def load_checkpoint(path: Path, identity: str) -> tuple[dict[str, Tensor], int]:
    """Read the tensors of a checkpoint, on the CPU, and its number of completed epochs.

    Raises WrongCheckpoint if the file is damaged or its identifier is not `identity`.

    >>> import tempfile, torch
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "checkpoint.safetensors"
    ...     save_checkpoint(path, {"weight": torch.ones(2)}, "a cell, seed 0", 3)
    ...     load_checkpoint(path, "a cell, seed 0")[1]
    3
    """
    try:
        with safe_open(path, framework="pt") as kept:
            about = json.loads(kept.metadata()[_KEY])
            tensors = {name: kept.get_tensor(name) for name in kept.keys()}  # noqa: SIM118 - not a mapping
        found, done, version = str(about["identity"]), int(about["epochs"]), about["format"]
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise WrongCheckpoint(
            f"{path} is not a complete checkpoint ({str(error).splitlines()[0]}); remove it to train from the start"
        ) from error
    if version != FORMAT or found != identity:
        raise WrongCheckpoint(
            f"{path} belongs to another training ({found}), not to {identity}; "
            "give another folder, or remove it to train from the start"
        )
    return tensors, done
