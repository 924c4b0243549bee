"""Validation of image batches and devices."""

import torch
from torch import Tensor, nn

from nasgauge.spaces.errors import NasgaugeError


class InvalidBatch(NasgaugeError, ValueError):
    """Raised for images, labels or a device that a network cannot be evaluated on."""


def check_images(
    images: Tensor, network: nn.Module | None = None, channels: int | None = None, *, halvings: int = 0
) -> None:
    """Check that `images` is a float tensor (B, C, H, W) with B ≥ 2, on the device of `network`.

    With `channels`, C must equal it. With `halvings`, H and W must be divisible by 2 ** `halvings`.

    Raises InvalidBatch.

    >>> check_images(torch.zeros(1, 3, 8, 8))
    Traceback (most recent call last):
    ...
    nasgauge.harness.network.inputs.InvalidBatch: a batch of 1 has no batch statistics; give at least 2 images
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


def exact_float32(device: torch.device) -> torch.device:
    """Keep convolutions of float32 on a GPU in float32, which cuDNN would compute with ten bits of mantissa; returns the device.

    >>> exact_float32(torch.device("cpu"))
    device(type='cpu')
    """
    if device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = False
    return device


def open_device(name: str) -> torch.device:
    """The device of that name, if this machine has it.

    Raises InvalidBatch.

    >>> open_device("cpu")
    device(type='cpu')
    """
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        there = ["cpu"] + [f"cuda:{place}" for place in range(torch.cuda.device_count())]
        raise InvalidBatch(f"no device {name!r} on this machine; choose from {', '.join(there)}") from error
    return device
