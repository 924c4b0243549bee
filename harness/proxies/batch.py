"""The batch of images that a proxy is computed on."""

from dataclasses import dataclass

import torch
from torch import Tensor

from nasgauge.harness.network.inputs import InvalidBatch, check_images


@dataclass(frozen=True, eq=False)
class Batch:
    """Labelled images, and the random generator for proxies that draw weights or noise.

    Raises InvalidBatch.

    >>> batch = Batch(torch.zeros(2, 3, 8, 8), torch.tensor([0, 1]), torch.Generator().manual_seed(0))
    >>> batch.labels.tolist()
    [0, 1]
    """

    images: Tensor
    """(B, C, H, W), normalised floats, B ≥ 2."""
    labels: Tensor
    """(B,), classes counted from 0."""
    generator: torch.Generator

    def __post_init__(self) -> None:
        check_images(self.images)
        if self.labels.shape != self.images.shape[:1]:
            raise InvalidBatch(
                f"{len(self.images)} images need {len(self.images)} labels, not {tuple(self.labels.shape)}"
            )
