"""Where a training stands, in one file that appears whole or not at all: safetensors, so no pickle."""

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
    """A file that is no checkpoint, or one of another training."""


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], identity: str, done: int) -> None:
    """Keep tensors, the text that says whose they are, and the number of epochs behind them."""
    about = json.dumps({"format": FORMAT, "identity": identity, "epochs": done})
    with replacing(path) as file:
        file.write(save(dict(tensors), {_KEY: about}))


def load_checkpoint(path: Path, identity: str) -> tuple[dict[str, Tensor], int]:
    """The tensors of a checkpoint, on the CPU, and the number of epochs behind them.

    Raises WrongCheckpoint.
    """
    try:
        with safe_open(path, framework="pt") as kept:
            about = json.loads(kept.metadata()[_KEY])
            tensors = {name: kept.get_tensor(name) for name in kept.keys()}  # noqa: SIM118 - no mapping
        whose, done, form = str(about["identity"]), int(about["epochs"]), about["format"]
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise WrongCheckpoint(
            f"{path} is no whole checkpoint ({str(error).splitlines()[0]}); remove it to train from the start"
        ) from error
    if form != FORMAT or whose != identity:
        raise WrongCheckpoint(
            f"{path} belongs to another training ({whose}), not to {identity}; "
            "give another folder, or remove it to train from the start"
        )
    return tensors, done
