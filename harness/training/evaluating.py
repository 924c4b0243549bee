"""A network on its device, its evaluation by all processes together, and what one of them finds for all."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Literal, TypeVar, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from nasgauge.harness.training.feeding import HeldOutImages
from nasgauge.harness.training.pools import convolve_pools
from nasgauge.spaces.errors import NasgaugeError

T = TypeVar("T")


def on_device(network: nn.Module, fabric: Fabric) -> nn.Module:
    """Move a network to the device, channels last; on a CPU, its 3x3 average pools are replaced by convolutions."""
    network = network.to(fabric.device).to(memory_format=torch.channels_last)
    if fabric.device.type == "cpu":
        convolve_pools(network)
    return network


@torch.no_grad()
def evaluate(model: nn.Module, images: HeldOutImages, fabric: Fabric) -> tuple[float, float, float]:
    """Mean cross-entropy and top-1 and top-5 accuracy in percent; each process evaluates its part of the images.

    The model is left in eval mode.
    """
    model.eval()
    sums = torch.zeros(4, device=fabric.device)  # loss, correct, correct among the five best, images
    precision: AbstractContextManager[None] = fabric.autocast()
    for batch, labels in images.batches(part=fabric.global_rank, parts=fabric.world_size):
        with precision:
            logits = model(batch).float()
        best = logits.topk(min(5, logits.shape[1]), 1).indices == labels[:, None]
        count = torch.full((), len(labels), device=sums.device)
        loss = cross_entropy(logits, labels, reduction="sum")
        sums += torch.stack([loss, best[:, 0].sum(), best.sum(), count])
    loss_sum, right, among, seen = reduced(fabric, sums).tolist()
    return loss_sum / seen, 100 * right / seen, 100 * among / seen


def reduced(fabric: Fabric, tensor: Tensor, operation: Literal["sum", "mean"] = "sum") -> Tensor:
    """The sum or mean of a tensor over processes."""
    total = fabric.all_reduce(tensor.clone(), reduce_op=operation)  # it overwrites its argument
    assert isinstance(total, Tensor)  # its return type also covers dicts
    return total


def by_first(fabric: Fabric, work: Callable[[], T]) -> T:
    """What `work` returns in the first process, in all of them; they raise its error together, and none waits for it.

    >>> by_first(Fabric(accelerator="cpu", devices=1), lambda: 3)
    3
    """
    found: T | None = None
    error: Exception | None = None
    if fabric.is_global_zero:
        try:
            found = work()
        except (NasgaugeError, OSError) as raised:
            error = raised
    found, error = fabric.broadcast((found, error))
    if error is not None:
        raise error
    return cast("T", found)
