"""Zero-cost proxies computed from activations and input gradients of an untrained network in train mode.

For all proxies, higher is better. The state of the network does not change. `naswot`, `jacov` and `epe_nas` read the
same passes, and so do `zen` and `zen_running`, see `Batch.once`.
"""

import contextlib
import math
from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from nasgauge.harness.network.initialise import initialise
from nasgauge.harness.network.inputs import check_images
from nasgauge.harness.network.unchanged import unchanged
from nasgauge.harness.proxies.batch import Batch
from nasgauge.harness.proxies.forward import forward

_ZEN_STEP: Final = 0.01
_EPSILON: Final = 1e-5


def naswot(network: nn.Module, batch: Batch) -> float:
    """Log-determinant of the Hamming similarity of the images' binary ReLU codes (Mellor et al., 2021: NASWOT, section 3).

    Minus infinity if two images have the same code.

    Raises InvalidBatch.

    >>> from nasgauge.harness.network import Skeleton, build
    >>> generator = torch.Generator().manual_seed(0)
    >>> network = build((("nor_conv_3x3",),) * 6, Skeleton(channels=4, cells=1), generator)
    >>> images = torch.randn(8, 3, 8, 8, generator=generator)
    >>> batch = Batch(images, torch.arange(8), generator)
    >>> naswot(network, batch) > 0
    True
    """
    similarity_BB = torch.zeros(len(batch.images), len(batch.images), dtype=torch.float64)
    units, alike = 0, Counter[int]()
    rectified = batch.once(forward, network).rectified
    layers = {
        id(before): after for before, after in rectified
    }  # convolutions that read one node have one code
    alike.update(id(before) for before, _ in rectified)
    for key, after in layers.items():
        signs_BF = (after > 0).flatten(1).float().mul_(2).sub_(1)
        similarity_BB += alike[key] * (signs_BF @ signs_BF.T).to(similarity_BB)
        units += alike[key] * signs_BF.shape[1]
    return float(torch.linalg.slogdet((similarity_BB + units) / 2).logabsdet)


def input_gradients(network: nn.Module, batch: Batch) -> Tensor:
    """Gradient of each image's summed logits with respect to its pixels, (B, pixels), in float64.

    Raises InvalidBatch.
    """
    run = batch.once(forward, network)
    (found,) = torch.autograd.grad(
        run.logits.sum(), run.images, retain_graph=True, materialize_grads=True, allow_unused=True
    )
    return found.flatten(1).double()


def jacov(network: nn.Module, batch: Batch) -> float:
    """Score of the correlation matrix of input gradients (Mellor et al., 2020: first version of NASWOT).

    With eigenvalues v of the matrix, the score is −Σ (log(v + ε) + 1 / (v + ε)), ε = 1e-5. NaN if the gradient of an
    image is zero or overflows.

    Raises InvalidBatch.

    >>> from nasgauge.harness.network import Skeleton, build
    >>> generator = torch.Generator().manual_seed(0)
    >>> network = build((("nor_conv_3x3",),) * 6, Skeleton(channels=4, cells=1), generator)
    >>> images = torch.randn(8, 3, 8, 8, generator=generator)
    >>> batch = Batch(images, torch.arange(8), generator)
    >>> jacov(network, batch) < 0
    True
    """
    jacobian_BP = batch.once(input_gradients, network)
    if not _correlated(jacobian_BP):
        return float("nan")
    shifted = torch.linalg.eigvalsh(torch.corrcoef(jacobian_BP)).clamp(min=0) + _EPSILON
    return -float((shifted.log() + 1 / shifted).sum())


def epe_nas(network: nn.Module, batch: Batch) -> float:
    """Correlation of input gradients within each class of images (Lopes et al., 2021: EPE-NAS).

    For each class, log(|r| + ε), ε = 1e-5, is summed over the entries r of the correlation matrix of its images; the
    score is the sum of the absolute values over classes, which is the authors' rule for at most 100 classes. NaN if the
    gradient of an image is zero or overflows.

    Raises InvalidBatch.

    >>> from nasgauge.harness.network import Skeleton, build
    >>> generator = torch.Generator().manual_seed(0)
    >>> network = build((("nor_conv_3x3",),) * 6, Skeleton(channels=4, cells=1), generator)
    >>> images = torch.randn(8, 3, 8, 8, generator=generator)
    >>> batch = Batch(images, torch.tensor([0, 0, 0, 0, 1, 1, 1, 1]), generator)
    >>> epe_nas(network, batch) > 0
    True
    """
    jacobian_BP = batch.once(input_gradients, network)
    if not _correlated(jacobian_BP):
        return float("nan")
    groups = (jacobian_BP[batch.labels == label] for label in torch.unique(batch.labels))
    return float(sum((torch.corrcoef(group).abs() + _EPSILON).log().sum().abs() for group in groups))


def _correlated(jacobian_BP: Tensor) -> bool:
    """Whether correlations of the rows are defined: none is zero or overflows."""
    return bool(jacobian_BP.any(1).all() and jacobian_BP.square().sum(1).isfinite().all())


class Perturbed(NamedTuple):
    """What the Zen-score reads."""

    change: float
    """Absolute change of the last feature map, summed over the map, mean over images."""
    batch: Tensor
    """Variance of the inputs of each batch normalisation, mean over channels, in the first pass."""
    running: Tensor
    """The mean running variance of each batch normalisation after both passes."""


def perturbed(network: nn.Module, batch: Batch) -> Perturbed:
    """Forward passes on Gaussian noise of the shape of the images, and on that noise after a small perturbation.

    Weights are drawn from N(0, 1), and both noises from N(0, 1), from `batch.generator`.

    Raises InvalidBatch.
    """
    check_images(batch.images, network)
    variances: list[Tensor] = []
    maps: list[Tensor] = []

    def keep_variance(_module: nn.Module, inputs: tuple[Tensor]) -> None:
        variances.append(inputs[0].var((0, 2, 3), correction=0).mean())

    def keep_map(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        maps.append(output)

    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    first = [norm.register_forward_pre_hook(keep_variance) for norm in norms]
    hooks = [m.register_forward_hook(keep_map) for m in network.modules() if isinstance(m, nn.ReLU)]
    shape, generator = batch.images.shape, batch.generator
    try:
        with unchanged(network), torch.no_grad():
            network.train()
            initialise(network, "standard_normal", generator)
            noise = torch.randn(shape, generator=generator, device=generator.device).to(batch.images)
            step = torch.randn(shape, generator=generator, device=generator.device).to(batch.images)
            network(noise)
            here = maps[-1]
            for hook in first:
                hook.remove()
            network(noise + _ZEN_STEP * step)
            running = torch.stack([norm.running_var.mean() for norm in norms])  # type: ignore[union-attr] # tracked
    finally:
        for hook in first + hooks:
            hook.remove()
    return Perturbed(
        float((maps[-1] - here).abs().double().flatten(1).sum(1).mean()),
        torch.stack(variances).double(),
        running.double(),
    )


def zen(network: nn.Module, batch: Batch) -> float:
    """Zen-score: log of the change of the last feature map under a small input perturbation (Lin et al., 2021).

    Weights are drawn from N(0, 1), and Gaussian noise of the shape of `batch.images` replaces the images. The log
    standard deviations of all batch normalisations, of the batch as in the paper's algorithm 1, are added to undo their
    scaling. A batch normalisation whose inputs have no variance (a convolution of zeros) scales nothing and is left
    out.

    Raises InvalidBatch.

    >>> from nasgauge.harness.network import Skeleton, build
    >>> generator = torch.Generator().manual_seed(0)
    >>> network = build((("nor_conv_3x3",),) * 6, Skeleton(channels=4, cells=1), generator)
    >>> images = torch.randn(8, 3, 8, 8, generator=generator)
    >>> batch = Batch(images, torch.arange(8), generator)
    >>> zen(network, batch) > 0
    True
    """
    seen = batch.once(perturbed, network)
    return _zen_score(seen, seen.batch)


def zen_running(network: nn.Module, batch: Batch) -> float:
    """Zen-score with running variances, as in the authors' public code.

    As `zen`, with the running variance of each batch normalisation after the two forward passes, which is mostly its
    initial value of 1: with momentum 0.1, 0.81 + 0.09 v + 0.1 v' for variances v and v' of the two batches. The log
    spread of deep networks then counts for less than in the paper's algorithm.

    Raises InvalidBatch.

    >>> from nasgauge.harness.network import Skeleton, build
    >>> generator = torch.Generator().manual_seed(0)
    >>> network = build((("nor_conv_3x3",),) * 6, Skeleton(channels=4, cells=1), generator)
    >>> images = torch.randn(8, 3, 8, 8, generator=generator)
    >>> batch = Batch(images, torch.arange(8), generator)
    >>> zen_running(network, batch) > 0
    True
    """
    seen = batch.once(perturbed, network)
    return _zen_score(seen, seen.running)


def _zen_score(seen: Perturbed, variances: Tensor) -> float:
    """With these variances of the batch normalisations; those without variance in the batch are left out."""
    if not seen.change:
        return -math.inf
    return math.log(seen.change) + float(variances[seen.batch > 0].log().sum()) / 2


def relu_codes(network: nn.Module, images: Tensor) -> Tensor:
    """Whether each ReLU unit of the network is active: bool (B, units).

    Raises InvalidBatch.

    >>> network = nn.Sequential(nn.Flatten(), nn.ReLU(), nn.Linear(2, 1))
    >>> relu_codes(network, torch.tensor([[[[1.0, -1.0]]], [[[-1.0, 2.0]]]]))
    tensor([[ True, False],
            [False,  True]])
    """
    check_images(images, network)
    with unchanged(network), torch.no_grad(), _watched(network) as codes:
        network.train()
        network(images)
    return torch.cat(codes, 1)


def distinct(codes_BF: Tensor) -> int:
    """The number of distinct rows of a bool tensor (B, F).

    >>> distinct(torch.tensor([[True, False], [False, True], [True, False]]))
    2
    """
    missing = -codes_BF.shape[1] % 32
    bits = torch.unflatten(torch.nn.functional.pad(codes_BF, (0, missing)), 1, (-1, 32)).long()
    packed = (bits << torch.arange(32, device=bits.device)).sum(2)
    return len(torch.unique(packed, dim=0))


@contextlib.contextmanager
def _watched(network: nn.Module) -> Iterator[list[Tensor]]:
    codes: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        codes.append((output > 0).flatten(1))

    hooks = [
        module.register_forward_hook(keep) for module in network.modules() if isinstance(module, nn.ReLU)
    ]
    try:
        yield codes
    finally:
        for hook in hooks:
            hook.remove()
