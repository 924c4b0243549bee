"""Training recipes: the hyper-parameters of a training, by name."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final

from nasgauge.spaces.errors import NasgaugeError


class InvalidRecipe(NasgaugeError, ValueError):
    """Raised for a recipe with invalid hyper-parameters."""


class UnknownRecipe(NasgaugeError, LookupError):
    """Raised for the name of a recipe that does not exist."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Hyper-parameters of a training with SGD, Nesterov momentum and a cosine schedule.

    The defaults are those of NAS-Bench-201 (Dong and Yang, 2020, table 1). The learning rate decays to 0 over the
    epochs of the recipe and is constant within an epoch. Weight decay applies to all parameters. The last batch of an
    epoch may be smaller. Images are augmented by random flips and padded crops.

    Raises InvalidRecipe.

    >>> Recipe(name="mine", epochs=3, batch=128).learning_rate
    0.1
    >>> Recipe(name="mine", epochs=0)
    Traceback (most recent call last):
    ...
    nasgauge.harness.records.recipes.InvalidRecipe: epochs must be at least 1, not 0
    """

    name: str
    epochs: int
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch: int = 256
    warm_up: int = 0
    """Number of first epochs in which the learning rate rises linearly."""
    cutout: int = 0
    """Side in pixels of the square that is masked in each image; 0 for none (DeVries and Taylor, 2017: cutout)."""
    smoothing: float = 0.0
    """Label smoothing: share of the label distributed over all classes (Szegedy et al., 2016)."""
    average: float = 0.0
    """Decay per step of the exponential moving average of the weights, which is then evaluated; 0 for no average."""
    images: int | None = None
    """Use only the first so many training images; None for all."""
    channels: int = 16
    """Channels of the first stage."""
    cells: int = 5
    """Cells in each stage."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "channels", "cells"):
            if getattr(self, name) < 1:
                raise InvalidRecipe(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.images is not None and self.images < 2:
            raise InvalidRecipe(f"images must be at least 2, not {self.images}")
        if not (self.learning_rate > 0 and self.weight_decay >= 0):
            raise InvalidRecipe(
                f"learning_rate must be positive and weight_decay not negative, not {self.learning_rate:g} "
                f"and {self.weight_decay:g}"
            )
        for name in ("momentum", "smoothing", "average"):
            if not 0 <= getattr(self, name) < 1:
                raise InvalidRecipe(f"{name} must be in [0, 1), not {getattr(self, name):g}")
        if not 0 <= self.warm_up < self.epochs or self.cutout < 0:
            raise InvalidRecipe(
                f"warm_up must be in [0, epochs) and cutout not negative, not {self.warm_up} and {self.cutout}"
            )

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch; epochs are counted from 0.

        >>> recipe = RECIPES["nb201-12"]
        >>> recipe.rate(0), round(recipe.rate(6), 3), round(recipe.rate(11), 4)
        (0.1, 0.05, 0.0017)
        """
        if epoch < self.warm_up:
            return self.learning_rate * (epoch + 1) / (self.warm_up + 1)
        done = (epoch - self.warm_up) / (self.epochs - self.warm_up)
        return self.learning_rate * (1 + math.cos(math.pi * done)) / 2


RECIPES: Final[Mapping[str, Recipe]] = MappingProxyType(
    {
        recipe.name: recipe
        for recipe in (
            Recipe(name="nb201-12", epochs=12),
            Recipe(name="nb201-200", epochs=200),
            Recipe(name="long", epochs=600, warm_up=5, cutout=16, smoothing=0.1, average=0.999),
            Recipe(name="tiny", epochs=2, batch=64, images=1024, channels=4, cells=1),
        )
    }
)
"""Recipes by name.

`nb201-12` and `nb201-200` are those of NAS-Bench-201. `long` is for the final training of selected cells. `tiny` is
for tests and takes a few seconds per cell on a CPU.
"""


def recipe_named(name: str, *, epochs: int | None = None) -> Recipe:
    """The recipe of that name, optionally with another number of epochs, which is then part of its name.

    Raises UnknownRecipe, InvalidRecipe.

    >>> recipe_named("tiny").epochs, recipe_named("tiny", epochs=5).name
    (2, 'tinyx5')
    """
    try:
        recipe = RECIPES[name]
    except KeyError:
        near = get_close_matches(name, RECIPES, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UnknownRecipe(f"unknown recipe {name!r}; choose from {', '.join(RECIPES)}{hint}") from None
    if epochs is None or epochs == recipe.epochs:
        return recipe
    return replace(recipe, name=f"{name}x{epochs}", epochs=epochs)
