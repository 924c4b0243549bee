"""The optimisers and the moving average of the weights that a recipe asks for, and their state in a checkpoint."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from nasgauge.harness.records.recipes import Recipe

_RMSPROP_DECAY: Final = 0.9
_RMSPROP_EPSILON: Final = 1.0

FIRST_SCALE: Final[Mapping[str, float | int]] = {"scale": 2.0**16, "_growth_tracker": 0}
"""State of PyTorch's scaler of losses at the beginning of a training in float16."""


def optimizer_for(network: nn.Module, recipe: Recipe, *, fused: bool = True) -> torch.optim.Optimizer:
    """The optimiser of a recipe for the weights of a network.

    A `fused` one unscales the gradients of float16 itself, so these cannot be clipped before.

    >>> optimizer_for(nn.Linear(2, 2), Recipe(name="example", epochs=1)).defaults["nesterov"]
    True
    """
    weights = list(network.parameters())
    decayed = [weight for weight in weights if recipe.decay_norms or weight.ndim > 1]
    others = [weight for weight in weights if not recipe.decay_norms and weight.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": decayed}]
    if others:
        groups.append({"params": others, "weight_decay": 0.0})
    rate, momentum, decay = recipe.learning_rate, recipe.momentum, recipe.weight_decay
    if recipe.optimizer == "rmsprop":
        return torch.optim.RMSprop(
            groups, rate, _RMSPROP_DECAY, _RMSPROP_EPSILON, decay, momentum, foreach=True
        )
    nesterov = recipe.nesterov and momentum > 0
    return torch.optim.SGD(groups, rate, momentum, weight_decay=decay, nesterov=nesterov, fused=fused)


def moving_average(network: nn.Module, decay: float) -> AveragedModel:
    """The exponential moving average of the weights and buffers of a network."""
    return AveragedModel(
        network,
        multi_avg_fn=get_ema_multi_avg_fn(decay),  # type: ignore[no-untyped-call]  # torch's own lacks types
        use_buffers=True,
    )


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The state of an optimiser as tensors, by the place of the weight and the name of the value.

    >>> optimizer_state(torch.optim.SGD([torch.ones(2, requires_grad=True)], momentum=0.9))
    {}
    """
    return {
        f"{place}.{name}": torch.as_tensor(value)
        for place, values in optimizer.state_dict()["state"].items()
        for name, value in values.items()
        if value is not None
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Restore a state that `optimizer_state` returned."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        place, _, name = key.partition(".")
        weight = weights[int(place)]
        if value.shape == weight.shape:  # same memory layout as the weights, which the fused optimiser needs
            value = torch.empty_like(weight).copy_(value)
        state.setdefault(int(place), {})[name] = value
    whole = deepcopy(optimizer.state_dict())
    optimizer.load_state_dict(whole | {"state": state})
