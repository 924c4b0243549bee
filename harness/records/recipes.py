"""How a network is trained: every number of it, by name."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final

from nasgauge.spaces.errors import NasgaugeError


class InvalidRecipe(NasgaugeError, ValueError):
    """A recipe that no network can be trained by."""


class UnknownRecipe(NasgaugeError, LookupError):
    """A name that stands for no recipe."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """SGD with Nesterov momentum, cosine to 0 over the run's own epochs, flip and padded crop.

    The defaults are NAS-Bench-201's (Dong and Yang, 2020, table 1). The learning rate changes from epoch to
    epoch, not within one; weight decay is for all weights; the last, smaller batch of an epoch is kept.
    """

    name: str
    epochs: int
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch: int = 256
    warm_up: int = 0
    """First epochs, in which the learning rate rises linearly."""
    cutout: int = 0
    """Side of the square that is blackened in each image, pixels; 0: none (DeVries and Taylor, 2017)."""
    smoothing: float = 0.0
    """Share of the label that is spread over all classes (Szegedy et al., 2016)."""
    average: float = 0.0
    """Decay, per step, of the moving average of weights that is evaluated; 0: the weights themselves."""
    images: int | None = None
    """How many of the training set, from its beginning; None: all."""
    channels: int = 16
    """Of the first stage."""
    cells: int = 5
    """In each stage."""

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
        """The learning rate of an epoch, counted from 0.

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
"""`nb201-12` and `nb201-200` are the benchmark's own; `long` is what chosen cells are trained with for a
final figure; `tiny` is for trying things out, a few seconds for a cell on a CPU."""


def recipe_named(name: str, *, epochs: int | None = None) -> Recipe:
    """The recipe of that name; with other `epochs` its name says so, for it is another training.

    Raises UnknownRecipe, InvalidRecipe.
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
