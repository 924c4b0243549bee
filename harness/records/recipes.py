"""Training recipes: the hyper-parameters of a training, by name."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final, Literal

from nasgauge.spaces.errors import NasgaugeError


class InvalidRecipe(NasgaugeError, ValueError):
    """Raised for a recipe with invalid hyper-parameters."""


class UnknownRecipe(NasgaugeError, LookupError):
    """Raised for the name of a recipe that does not exist."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Hyper-parameters of a training, and the size of the network.

    The defaults are those of NAS-Bench-201 (Dong and Yang, 2020, table 1): SGD with Nesterov momentum, a learning
    rate that falls from 0.1 to 0 along a cosine, one step an epoch. The last batch of an epoch may be smaller.
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
    """Images per optimiser step, over all devices and accumulated passes."""
    warm_up: int = 0
    """Number of first epochs in which the learning rate rises linearly, to its whole in the last of them."""
    cutout: int = 0
    """Side in pixels of the square that is masked in each image; 0 for none (DeVries and Taylor, 2017: cutout)."""
    smoothing: float = 0.0
    """Label smoothing: share of the label distributed over all classes (Szegedy et al., 2016)."""
    average: float = 0.0
    """Decay per update of the exponential moving average of the weights, which is then evaluated; 0 for no average. During
    the warm-up the average is a copy of the weights."""
    images: int | None = None
    """Use only the first so many training images; None for all."""
    channels: int = 16
    """Channels of the first stage."""
    cells: int = 5
    """Cells in each of the three stages, reduction cells of their own not counted."""

    optimizer: Literal["sgd", "rmsprop"] = "sgd"
    """`rmsprop`: decay 0.9 and epsilon 1, with momentum (Zoph et al., 2018: NASNet, appendix A.4)."""
    nesterov: bool = True
    decay_norms: bool = True
    """Whether weight decay applies to batch normalisation and biases."""
    schedule: Literal["cosine", "steps"] = "cosine"
    """`steps`: the learning rate is multiplied by `decay` after every `decay_every` epochs."""
    whole_cosine: bool = False
    """Whether the cosine begins with the first epoch, under the warm-up, instead of after the warm-up."""
    decay: float = 0.97
    decay_every: float = 2.4
    """Epochs."""
    continuous: bool = False
    """Whether the learning rate changes with every step instead of every epoch."""
    clip: float = 0.0
    """Largest norm of the gradient of all weights together; 0 for no clipping."""
    auxiliary: float = 0.0
    """Weight of the loss of the auxiliary head; 0 for a network without one (Szegedy et al., 2015)."""
    drop_path: float = 0.0
    """Final probability of dropping the output of an operator; rises linearly from 0 (Zoph et al., 2018, appendix A.4)."""
    dropout: float = 0.0
    """Probability of dropping a feature before the classifier."""
    average_every: int = 1
    """Steps between updates of the moving average."""
    norm_momentum: float = 0.1
    """Weight of a batch in the running statistics of batch normalisation."""
    stem_channels: int = 32
    """Channels of the first convolution of PNAS networks for photographs."""
    initialisation: str = "default"
    """Name in `nasgauge.harness.network.INITIALISATIONS`."""

    side: int = 0
    """Side in pixels of the training crops of photographs; 0 for images of their own size, with flips and padded crops."""
    test_side: int = 0
    """Side in pixels of the central crops in evaluation; 0 for `side`."""
    evaluation_crop: float = 0.875
    """Share of the shorter side of a photograph that the central crop covers."""
    smallest: float = 0.08
    """Least share of a photograph's area that a training crop covers."""
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """Strength of random changes of brightness, contrast, saturation and hue."""
    augmentation: Literal["none", "trivial"] = "none"
    """`trivial`: TrivialAugment, wide (Müller and Hutter, 2021)."""
    erasing: float = 0.0
    """Probability of erasing a random rectangle (Zhong et al., 2020)."""
    mixup: float = 0.0
    """Parameter of the beta distribution of mixup; 0 for none (Zhang et al., 2018)."""
    cutmix: float = 0.0
    """Parameter of the beta distribution of CutMix; 0 for none (Yun et al., 2019)."""
    source: str = field(default="", compare=False, repr=False)
    """Where the values come from, and which of them are not confirmed."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "channels", "cells", "stem_channels", "average_every"):
            if getattr(self, name) < 1:
                raise InvalidRecipe(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.images is not None and self.images < 2:
            raise InvalidRecipe(f"images must be at least 2, not {self.images}")
        for name in ("learning_rate", "decay", "decay_every", "smallest", "evaluation_crop"):
            if not getattr(self, name) > 0:
                raise InvalidRecipe(f"{name} must be positive, not {getattr(self, name):g}")
        for name in ("weight_decay", "clip", "auxiliary", "mixup", "cutmix", "cutout", "side", "test_side"):
            if not getattr(self, name) >= 0:
                raise InvalidRecipe(f"{name} must not be negative, not {getattr(self, name):g}")
        for name in ("momentum", "smoothing", "average", "drop_path", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise InvalidRecipe(f"{name} must be in [0, 1), not {getattr(self, name):g}")
        if not 0 <= self.warm_up < self.epochs:
            raise InvalidRecipe(f"warm_up must be in [0, epochs), not {self.warm_up}")

    def rate(self, epoch: float) -> float:
        """The learning rate after `epoch` epochs, a whole number unless the schedule is continuous.

        >>> recipe = RECIPES["nb201-12"]
        >>> recipe.rate(0), round(recipe.rate(6), 3), round(recipe.rate(11.5), 4)
        (0.1, 0.05, 0.0017)
        """
        if not self.continuous:
            epoch = math.floor(epoch)
        if epoch < self.warm_up:
            return self.learning_rate * min((epoch + 1) / self.warm_up, 1)
        if self.schedule == "steps":
            return self.learning_rate * self.decay ** math.floor(epoch / self.decay_every)
        start = 0 if self.whole_cosine else self.warm_up
        done = (epoch - start) / (self.epochs - start)
        return self.learning_rate * (1 + math.cos(math.pi * done)) / 2


_PNAS_CIFAR: Final = Recipe(
    name="pnas-cifar",
    epochs=600,
    learning_rate=0.025,
    batch=32,
    nesterov=False,
    decay_norms=False,
    continuous=True,
    clip=5,
    auxiliary=0.4,
    drop_path=0.4,
    initialisation="kaiming_fan_out_per_group",
    channels=48,
    cells=3,
    source="Liu et al. (2018), section 5: N = 3, F = 48, no cutout. Recipe of NASNet's CIFAR network, notes of its "
    "public code (Zoph et al., 2018); that PNAS trained by it, and SGD with momentum 0.9, are not confirmed.",
)
_PNAS_LARGE: Final = Recipe(
    name="pnas-large",
    epochs=312,
    learning_rate=1.5,
    weight_decay=4e-5,
    batch=1600,
    optimizer="rmsprop",
    decay_norms=False,
    schedule="steps",
    continuous=True,
    clip=10,
    smoothing=0.1,
    auxiliary=0.4,
    drop_path=0.4,
    dropout=0.5,
    norm_momentum=3e-4,
    initialisation="kaiming_fan_out_per_group",
    channels=216,
    cells=4,
    stem_channels=96,
    side=331,
    evaluation_crop=0.911,
    interpolation="bicubic",
    source="Liu et al. (2018), section 5; notes of the public code (chenxi116/PNASNet.TF): 100 replicas of 16 images, "
    "learning rate 0.015 × 100, × 0.97 every 2.4 epochs, 250,000 steps of the drop-path ramp, which are 312 epochs. "
    "RMSProp and the length are not confirmed; the evaluation crop is that of timm.",
)
_TENAS_CIFAR: Final = Recipe(
    name="tenas-cifar",
    epochs=800,
    learning_rate=0.025,
    weight_decay=3e-4,
    batch=96,
    nesterov=False,
    cutout=16,
    clip=5,
    auxiliary=0.4,
    drop_path=0.3,
    channels=36,
    cells=6,
    source="Chen et al. (2021), section 4.3; command in the README of the authors' evaluation code "
    "(chenwydj/DARTS_evaluation), whose default is 600 epochs.",
)
_MODERN: Final = Recipe(
    name="modern",
    epochs=600,
    learning_rate=0.5,
    weight_decay=2e-5,
    batch=1024,
    nesterov=False,
    decay_norms=False,
    warm_up=5,
    smoothing=0.1,
    average=1 - 2e-5 * 1024 * 32 / 600,  # its reference scales 1 - 0.99998 by images of an update and epochs
    average_every=32,
    channels=48,
    cells=4,
    side=176,
    test_side=224,
    evaluation_crop=0.966,
    augmentation="trivial",
    erasing=0.1,
    mixup=0.2,
    cutmix=1.0,
    source="Vryniotis (2021): How to train state-of-the-art models using TorchVision's latest primitives; without "
    "repeated augmentation, which torchvision's training reference adds, and with a warm-up from a fifth of the "
    "learning rate instead of a hundredth.",
)

RECIPES: Final[Mapping[str, Recipe]] = MappingProxyType(
    {
        recipe.name: recipe
        for recipe in (
            Recipe(name="nb201-12", epochs=12, source="Dong and Yang (2020), table 1"),
            Recipe(name="nb201-200", epochs=200, source="Dong and Yang (2020), table 1"),
            Recipe(
                name="long", epochs=600, warm_up=5, cutout=16, smoothing=0.1, average=0.999, source="ours"
            ),
            Recipe(
                name="tiny", epochs=2, batch=64, images=1024, channels=4, cells=1, source="ours, for tests"
            ),
            _PNAS_CIFAR,
            replace(
                _PNAS_LARGE,
                name="pnas-mobile",
                learning_rate=2.0,
                drop_path=0.0,
                channels=54,
                cells=3,
                stem_channels=32,
                side=224,
                evaluation_crop=0.875,
                source="Liu et al. (2018), section 5; recipe of NASNet's mobile network, notes of its public code: 50 "
                "replicas of 32 images, learning rate 0.04 × 50. RMSProp and the length are not confirmed; crops are resized "
                "by bicubic interpolation as in timm.",
            ),
            _PNAS_LARGE,
            _TENAS_CIFAR,
            Recipe(
                name="tenas-imagenet",
                epochs=250,
                learning_rate=0.5,
                weight_decay=3e-5,
                batch=768,
                nesterov=False,
                warm_up=5,
                whole_cosine=True,
                clip=5,
                smoothing=0.1,
                channels=48,
                cells=4,
                side=224,
                jitter=(0.4, 0.4, 0.4, 0.2),
                source="Chen et al. (2021), section 4.3; defaults of the authors' evaluation code "
                "(chenwydj/DARTS_evaluation), whose README trains 350 epochs. No auxiliary head, as in its command.",
            ),
            _MODERN,
        )
    }
)
"""Recipes by name; `Recipe.source` says where each comes from.

`nb201-12` and `nb201-200` are those of NAS-Bench-201. `pnas-cifar`, `pnas-mobile`, `pnas-large`, `tenas-cifar` and
`tenas-imagenet` train the final networks of both papers. `modern` is today's practice on ImageNet. `long` is for the
final training of NAS-Bench-201 cells on CIFAR. `tiny` is for tests and takes a few seconds per cell on a CPU.
"""


def recipe_named(name: str, *, epochs: int | None = None) -> Recipe:
    """The recipe of that name, optionally with another number of epochs, which is then part of its name.

    A moving average then spans the same share of the training.

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
    average = (
        max(1 - (1 - recipe.average) * recipe.epochs / epochs, 0) if recipe.average and epochs > 0 else 0.0
    )
    return replace(recipe, name=f"{name}x{epochs}", epochs=epochs, average=average)
