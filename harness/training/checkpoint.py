"""Checkpoints of a training in the safetensors format, with a checksum, written atomically and without pickle."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from nasgauge.data.atomic import replacing
from nasgauge.spaces.checksums import BLANK, KEY, stamp_in, stamped, unaltered
from nasgauge.spaces.errors import ELSEWHERE, NasgaugeError, reason

FORMAT: Final = "4"
_KEY: Final = "nasgauge"


class WrongCheckpoint(NasgaugeError, ValueError):
    """Raised for a file that is not a checkpoint, or is a checkpoint of another training."""


def save_checkpoint(
    path: Path, tensors: Mapping[str, Tensor], identity: Mapping[str, str], done: int
) -> None:
    """Write tensors with what identifies the training and its number of completed epochs.

    >>> import tempfile, torch
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "checkpoint.safetensors"
    ...     save_checkpoint(path, {"weight": torch.ones(2)}, {"cell": "a", "seed": "0"}, 3)
    ...     tensors, epochs = load_checkpoint(path, {"cell": "a"})
    >>> tensors["weight"], epochs
    (tensor([1., 1.]), 3)
    """
    about = json.dumps({"format": FORMAT, "identity": dict(identity), "epochs": done, KEY: BLANK})
    with replacing(path) as file:
        file.write(stamped(save(dict(tensors), {_KEY: about})))


def load_checkpoint(path: Path, identity: Mapping[str, str]) -> tuple[dict[str, Tensor], int]:
    """Read the tensors of a checkpoint, on the CPU, and its number of completed epochs.

    Raises WrongCheckpoint if the file is damaged or differs in an item of `identity`.

    >>> import tempfile, torch
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "checkpoint.safetensors"
    ...     save_checkpoint(path, {"weight": torch.ones(2)}, {"cell": "a", "seed": "0"}, 3)
    ...     load_checkpoint(path, {"cell": "a", "seed": "1"})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    nasgauge.harness.training.checkpoint.WrongCheckpoint: ...safetensors belongs to another training: seed 0, not 1; \
give another folder or file, or remove it to train from the start
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WrongCheckpoint(f"{path} cannot be read ({reason(error)}); give another path") from error
    try:
        length = int.from_bytes(content[:8], "little")
        about = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][_KEY])
        version, done = about["format"], int(about["epochs"])
        found = dict(about["identity"]) if version == FORMAT else {}
        tensors = load(unaltered(content)) if version == FORMAT else {}
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        remedy = "remove it to train from the start" if stamp_in(content) else ELSEWHERE
        raise WrongCheckpoint(f"{path} is not a complete checkpoint ({reason(error)}); {remedy}") from error
    if version != FORMAT:
        raise WrongCheckpoint(
            f"{path} was written by another version of nasgauge (format {version}, not {FORMAT}); remove it and its "
            "record to train from the start"
        )
    differing = [
        f"{key} {found.get(key)}, not {value}" for key, value in identity.items() if found.get(key) != value
    ]
    if differing:
        raise WrongCheckpoint(
            f"{path} belongs to another training: {'; '.join(differing)}; give another folder or file, or remove it to "
            "train from the start"
        )
    return tensors, done


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, by the rest of their names.

    >>> import torch
    >>> under("weights.", {"weights.bias": torch.ones(1), "epoch.step": torch.ones(1)})
    {'bias': tensor([1.])}
    """
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
