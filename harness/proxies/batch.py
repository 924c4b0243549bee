"""What a proxy may look at beside the network."""

from dataclasses import dataclass

import torch
from torch import Tensor

from nasgauge.harness.network.inputs import InvalidBatch, check_images


@dataclass(frozen=True, eq=False)
class Batch:
    """Images with labels, and the generator of what a proxy draws itself."""

    images: Tensor
    """(B, C, H, W), floats, normalised."""
    labels: Tensor
    """(B,), classes from 0."""
    generator: torch.Generator

    def __post_init__(self) -> None:
        check_images(self.images)
        if self.labels.shape != self.images.shape[:1]:
            raise InvalidBatch(
                f"{len(self.images)} images need {len(self.images)} labels, not {tuple(self.labels.shape)}"
            )
