"""Mixing of the images of a batch: mixup (Zhang et al., 2018) and CutMix (Yun et al., 2019), by torchvision."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import one_hot
from torchvision.transforms import v2

from nasgauge.harness.records.recipes import Recipe

Mixer = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From images (B, C, H, W) to mixed images and the share (B, B) of each image in each of them."""


def mixer(recipe: Recipe) -> Mixer | None:
    """The mixing of a recipe, or None. With both ways, one is chosen at random for each batch.

    Random numbers are taken from PyTorch's default generator.

    >>> mix = mixer(Recipe(name="example", epochs=1, mixup=0.2))
    >>> images, shares = mix(torch.zeros(4, 3, 8, 8))
    >>> images.shape, shares.sum(1)
    (torch.Size([4, 3, 8, 8]), tensor([1., 1., 1., 1.]))
    """
    ways: list[Callable[..., v2.Transform]] = []
    if recipe.mixup:
        ways.append(v2.MixUp(alpha=recipe.mixup))
    if recipe.cutmix:
        ways.append(v2.CutMix(alpha=recipe.cutmix))
    if not ways:
        return None
    way = v2.RandomChoice(ways)

    def mix(images: Tensor) -> tuple[Tensor, Tensor]:
        mixed, shares = way(images, torch.eye(len(images), device=images.device))
        return mixed, shares

    return mix


def mixed_labels(shares: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Probabilities (B, classes) for shares (B, B) of images with these labels (B,).

    >>> mixed_labels(torch.tensor([[0.75, 0.25], [0.0, 1.0]]), torch.tensor([2, 0]), 3)
    tensor([[0.2500, 0.0000, 0.7500],
            [1.0000, 0.0000, 0.0000]])
    """
    return shares @ one_hot(labels, classes).to(shares)
