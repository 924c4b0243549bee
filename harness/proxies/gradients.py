"""Zero-cost proxies computed from weights and their gradients at initialisation.

For all proxies, higher is better. The loss L is the cross-entropy of the batch in train mode. Sums are over the
weights of convolutions and linear layers, as in Abdelfattah et al. (2021). The state of the network does not change.
`grad_norm`, `snip`, `plain` and `fisher` read the same backward pass, see `Batch.once`.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasgauge.harness.network.inputs import check_images
from nasgauge.harness.network.unchanged import unchanged
from nasgauge.harness.proxies.batch import Batch
from nasgauge.harness.proxies.forward import forward, weighted


class LossGradients(NamedTuple):
    """Of every convolution and linear layer, in the order of the network's modules."""

    weights: tuple[Tensor, ...]
    gradients: tuple[Tensor, ...]
    """∂L/∂w."""
    information: tuple[Tensor, ...]
    """Fisher information of each output channel, (channels,)."""


def loss_gradients(network: nn.Module, batch: Batch) -> LossGradients:
    """The backward pass of the loss.

    Raises InvalidBatch.
    """
    run = batch.once(forward, network)
    loss = F.cross_entropy(run.logits, batch.labels)
    found = torch.autograd.grad(
        loss, (*run.weights, *run.outputs), retain_graph=True, materialize_grads=True, allow_unused=True
    )
    gradients, sensitivities = found[: len(run.weights)], found[len(run.weights) :]
    by_channel = (
        (z.detach() * g).flatten(2).sum(2) if z.ndim > 2 else z.detach() * g
        for z, g in zip(run.outputs, sensitivities, strict=True)
    )
    weights = tuple(weight.detach() for weight in run.weights)
    return LossGradients(weights, gradients, tuple(each.square().mean(0) / 2 for each in by_channel))


def grad_norm(network: nn.Module, batch: Batch) -> float:
    """Sum over layers of the Euclidean norm of the gradient ∂L/∂w (Abdelfattah et al., 2021, section 3.1).

    Raises InvalidBatch.

    >>> from nasgauge.harness.network import Skeleton, build
    >>> generator = torch.Generator().manual_seed(0)
    >>> network = build((("nor_conv_3x3",),) * 6, Skeleton(channels=4, cells=1), generator)
    >>> images = torch.randn(8, 3, 8, 8, generator=generator)
    >>> batch = Batch(images, torch.arange(8), generator)
    >>> grad_norm(network, batch) > 0
    True
    """
    return _over_layers(network, batch, lambda _weight, gradient: gradient.norm())


def snip(network: nn.Module, batch: Batch) -> float:
    """Sum of |w ∂L/∂w|, the sensitivity of the loss to removing each weight (Lee et al., 2019: SNIP).

    Raises InvalidBatch.

    >>> from nasgauge.harness.network import Skeleton, build
    >>> generator = torch.Generator().manual_seed(0)
    >>> network = build((("nor_conv_3x3",),) * 6, Skeleton(channels=4, cells=1), generator)
    >>> images = torch.randn(8, 3, 8, 8, generator=generator)
    >>> batch = Batch(images, torch.arange(8), generator)
    >>> snip(network, batch) >= abs(plain(network, batch))
    True
    """
    return _over_layers(network, batch, lambda weight, gradient: (weight * gradient).abs().sum())


def plain(network: nn.Module, batch: Batch) -> float:
    """Sum of w ∂L/∂w, the signed form of `snip` (Mozer and Smolensky, 1989: skeletonization).

    Raises InvalidBatch.

    >>> from nasgauge.harness.network import Skeleton, build
    >>> generator = torch.Generator().manual_seed(0)
    >>> network = build((("nor_conv_3x3",),) * 6, Skeleton(channels=4, cells=1), generator)
    >>> images = torch.randn(8, 3, 8, 8, generator=generator)
    >>> batch = Batch(images, torch.arange(8), generator)
    >>> plain(network, batch) <= snip(network, batch)
    True
    """
    return _over_layers(network, batch, lambda weight, gradient: (weight * gradient).sum())


def grasp(network: nn.Module, batch: Batch) -> float:
    """Minus the sum of w · (H g), with gradient g and Hessian H of the loss (Wang et al., 2020: GraSP).

    It estimates the change of the gradient norm when a weight is pruned. One batch is noise: published scores, of another
    draw of weights and images, rank cells with Kendall's tau of about 0.6 as these do.

    Raises InvalidBatch.

    >>> from nasgauge.harness.network import Skeleton, build
    >>> generator = torch.Generator().manual_seed(0)
    >>> network = build((("nor_conv_3x3",),) * 6, Skeleton(channels=4, cells=1), generator)
    >>> images = torch.randn(8, 3, 8, 8, generator=generator)
    >>> batch = Batch(images, torch.arange(8), generator)
    >>> abs(grasp(network, batch)) > 0
    True
    """
    with unchanged(network), torch.enable_grad():
        weights = _prepare(network, batch)
        loss = F.cross_entropy(network(batch.images), batch.labels)
        gradients = torch.autograd.grad(loss, weights, create_graph=True, materialize_grads=True)
        flow = sum((gradient * gradient.detach()).sum() for gradient in gradients)
        assert isinstance(flow, Tensor)
        curved = torch.autograd.grad(flow, weights, materialize_grads=True)
        return -float(
            sum((weight.detach() * change).sum() for weight, change in zip(weights, curved, strict=True))
        )


def fisher(network: nn.Module, batch: Batch) -> float:
    """Fisher information of the channels (Theis et al., 2018; Turner et al., 2020: BlockSwap), summed over weights.

    For the output z of each convolution and linear layer, z ∂L/∂z is summed over pixels and squared; half its mean over
    images is the information of a channel. As in Abdelfattah et al. (2021), every weight of a layer counts with the
    information of its output channel, so a channel counts as often as it has weights (its fan in).

    Raises InvalidBatch.

    >>> from nasgauge.harness.network import Skeleton, build
    >>> generator = torch.Generator().manual_seed(0)
    >>> network = build((("nor_conv_3x3",),) * 6, Skeleton(channels=4, cells=1), generator)
    >>> images = torch.randn(8, 3, 8, 8, generator=generator)
    >>> batch = Batch(images, torch.arange(8), generator)
    >>> fisher(network, batch) > 0
    True
    """
    found = batch.once(loss_gradients, network)
    pairs = zip(found.weights, found.information, strict=True)
    return float(torch.stack([weight[0].numel() * each.sum() for weight, each in pairs]).sum())


def synflow(network: nn.Module, batch: Batch) -> float:
    """Log of the sum of w ∂R/∂w, with R the sum of outputs for an image of ones and weights |w| (Tanaka et al., 2020: SynFlow).

    Batch normalisation is replaced by the identity, as in Abdelfattah et al. (2021). Only the shape of the images is
    used. The computation is in float64, and the logarithm is taken, because sums of deep networks exceed the range of
    float32. Minus infinity for a sum of zero.

    >>> from nasgauge.harness.network import Skeleton, build
    >>> generator = torch.Generator().manual_seed(0)
    >>> network = build((("nor_conv_3x3",),) * 6, Skeleton(channels=4, cells=1), generator)
    >>> images = torch.randn(8, 3, 8, 8, generator=generator)
    >>> batch = Batch(images, torch.arange(8), generator)
    >>> synflow(network, batch) > 0
    True
    """
    values = {name: p.detach().abs().double().requires_grad_() for name, p in network.named_parameters()}
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d):  # the identity, except for eps
            values |= {f"{name}.weight": torch.ones_like(values[f"{name}.weight"], requires_grad=True)}
            values |= {f"{name}.bias": torch.zeros_like(values[f"{name}.bias"], requires_grad=True)}
    statistics = {
        name: torch.ones_like(b, dtype=torch.float64)
        if name.endswith("var")
        else torch.zeros_like(b).double()
        for name, b in network.named_buffers()
    }
    weights = [values[f"{name}.weight"] for name, module in network.named_modules() if weighted(module)]
    with unchanged(network), torch.enable_grad():
        network.eval()
        ones = torch.ones_like(batch.images[:1], dtype=torch.float64)
        outputs = torch.func.functional_call(network, (values, statistics), (ones,))
        gradients = torch.autograd.grad(outputs.sum(), weights, materialize_grads=True)
    return float(
        torch.stack([(w.detach() * g).sum() for w, g in zip(weights, gradients, strict=True)]).sum().log()
    )


def zico(network: nn.Module, batch: Batch) -> float:
    """Sum over layers of log Σ mean|g| / std g, over the gradients g of two half batches (Li et al., 2023: ZiCo, eq. 16).

    Raises InvalidBatch.

    >>> from nasgauge.harness.network import Skeleton, build
    >>> generator = torch.Generator().manual_seed(0)
    >>> network = build((("nor_conv_3x3",),) * 6, Skeleton(channels=4, cells=1), generator)
    >>> images = torch.randn(8, 3, 8, 8, generator=generator)
    >>> batch = Batch(images, torch.arange(8), generator)
    >>> zico(network, batch) > 0
    True
    """
    halves = []
    with unchanged(network), torch.enable_grad():
        for part in (slice(0, len(batch.images) // 2), slice(len(batch.images) // 2, None)):
            weights = _prepare(network, batch)
            loss = F.cross_entropy(network(batch.images[part]), batch.labels[part])
            halves.append(torch.autograd.grad(loss, weights, materialize_grads=True))
    total = 0.0
    for pair in zip(*halves, strict=True):
        both = torch.stack(pair).double()
        deviation = torch.std(both, 0, correction=0)
        steady = (both.abs().mean(0) / deviation)[deviation != 0].sum()  # NaN stays
        total += float(steady.log()) if steady != 0 else 0.0
    return total


def l2_norm(network: nn.Module, batch: Batch) -> float:  # noqa: ARG001 - all proxies have the same signature
    """Sum over layers of the Euclidean norm of the weights (Abdelfattah et al., 2021). The batch is not used.

    >>> from nasgauge.harness.network import Skeleton, build
    >>> generator = torch.Generator().manual_seed(0)
    >>> network = build((("nor_conv_3x3",),) * 6, Skeleton(channels=4, cells=1), generator)
    >>> images = torch.randn(8, 3, 8, 8, generator=generator)
    >>> batch = Batch(images, torch.arange(8), generator)
    >>> l2_norm(network, batch) > 0
    True
    """
    layers = [module for module in network.modules() if weighted(module)]
    return float(torch.stack([layer.weight.detach().norm() for layer in layers]).sum())  # type: ignore[operator] # such layers have weights


def _over_layers(network: nn.Module, batch: Batch, measure: Callable[[Tensor, Tensor], Tensor]) -> float:
    found = batch.once(loss_gradients, network)
    pairs = zip(found.weights, found.gradients, strict=True)
    return float(torch.stack([measure(weight, gradient) for weight, gradient in pairs]).sum())


def _prepare(network: nn.Module, batch: Batch) -> list[Tensor]:
    """Set train mode and enable gradients; the weights of convolutions and linear layers."""
    check_images(batch.images, network)
    network.train()
    weights: list[Tensor] = [m.weight for m in network.modules() if weighted(m)]  # type: ignore[misc] # such layers have weights
    for weight in weights:
        weight.requires_grad_(True)
    return weights
