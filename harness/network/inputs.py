"""What a network can be judged on, and where."""

import torch
from torch import Tensor, nn

from nasgauge.spaces.errors import NasgaugeError


class InvalidBatch(NasgaugeError, ValueError):
    """Images or labels that a network cannot be judged on."""


def check_images(
    images: Tensor, network: nn.Module | None = None, channels: int | None = None, *, halvings: int = 0
) -> None:
    """Refuse what is no (B, C, H, W) of at least two images, or is not where the network is.

    Raises InvalidBatch.
    """
    if images.ndim != 4 or not images.is_floating_point():
        raise InvalidBatch(
            f"images are floats of shape (B, C, H, W), not {images.dtype} of shape {tuple(images.shape)}"
        )
    if len(images) < 2:
        raise InvalidBatch(f"a batch of {len(images)} has no batch statistics; give at least 2 images")
    if channels is not None and images.shape[1] != channels:
        raise InvalidBatch(f"the network takes images of {channels} channels, not {images.shape[1]}")
    if any(side % 2**halvings for side in images.shape[2:]):
        raise InvalidBatch(
            f"images of {images.shape[2]} × {images.shape[3]} cannot be halved {halvings} times; "
            f"give sides that {2**halvings} divides"
        )
    if network is not None and (device := next(network.parameters()).device) != images.device:
        raise InvalidBatch(f"the network is on {device}, the images are on {images.device}; move one of them")


def open_device(name: str) -> torch.device:
    """The device of that name, if this machine has it.

    Raises InvalidBatch.
    """
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        there = ["cpu"] + [f"cuda:{place}" for place in range(torch.cuda.device_count())]
        raise InvalidBatch(f"no device {name!r} on this machine; choose from {', '.join(there)}") from error
    return device
