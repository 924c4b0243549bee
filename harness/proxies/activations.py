"""Zero-cost proxies computed from activations and input gradients of an untrained network in train mode.

For all proxies, higher is better. The state of the network does not change.
"""

import contextlib
from collections.abc import Iterator
from typing import Final

import torch
from torch import Tensor, nn

from nasgauge.harness.network.initialise import initialise
from nasgauge.harness.network.inputs import check_images
from nasgauge.harness.network.unchanged import unchanged
from nasgauge.harness.proxies.batch import Batch

_ZEN_STEP: Final = 0.01
_JACOV_EPSILON: Final = 1e-5


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
    codes_BF = relu_codes(network, batch.images).float()
    overlap_BB = codes_BF @ codes_BF.T + (1 - codes_BF) @ (1 - codes_BF).T
    return float(torch.linalg.slogdet(overlap_BB.double()).logabsdet)


def jacov(network: nn.Module, batch: Batch) -> float:
    """Score of the correlation matrix of input gradients (Mellor et al., 2020: first version of NASWOT).

    With eigenvalues v of the matrix, the score is −Σ (log(v + ε) + 1 / (v + ε)), ε = 1e-5. NaN if the gradient of an
    image is zero.

    Raises InvalidBatch.

    >>> from nasgauge.harness.network import Skeleton, build
    >>> generator = torch.Generator().manual_seed(0)
    >>> network = build((("nor_conv_3x3",),) * 6, Skeleton(channels=4, cells=1), generator)
    >>> images = torch.randn(8, 3, 8, 8, generator=generator)
    >>> batch = Batch(images, torch.arange(8), generator)
    >>> jacov(network, batch) < 0
    True
    """
    check_images(batch.images, network)
    with unchanged(network), torch.enable_grad():
        network.train()
        images = batch.images.detach().clone().requires_grad_()
        (jacobian,) = torch.autograd.grad(
            network(images).sum(), images, materialize_grads=True, allow_unused=True
        )
    if not bool(jacobian.flatten(1).any(1).all()):
        return float("nan")
    eigenvalues = torch.linalg.eigvalsh(torch.corrcoef(jacobian.flatten(1).double()))
    shifted = eigenvalues.clamp(min=0) + _JACOV_EPSILON
    return -float((shifted.log() + 1 / shifted).sum())


def zen(network: nn.Module, batch: Batch) -> float:
    """Zen-score: log of the change of the last feature map under a small input perturbation (Lin et al., 2021).

    Weights are drawn from N(0, 1), and Gaussian noise of the shape of `batch.images` replaces the images, both from
    `batch.generator`. The log standard deviations of all batch normalisations are added to undo their scaling.

    Raises InvalidBatch.

    >>> from nasgauge.harness.network import Skeleton, build
    >>> generator = torch.Generator().manual_seed(0)
    >>> network = build((("nor_conv_3x3",),) * 6, Skeleton(channels=4, cells=1), generator)
    >>> images = torch.randn(8, 3, 8, 8, generator=generator)
    >>> batch = Batch(images, torch.arange(8), generator)
    >>> zen(network, batch) > 0
    True
    """
    check_images(batch.images, network)
    deviations: list[Tensor] = []
    maps: list[Tensor] = []

    def keep_deviation(module: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
        deviations.append((inputs[0].var((0, 2, 3), correction=0).mean() + module.eps).sqrt())

    def keep_map(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        maps.append(output)

    hooks = [
        m.register_forward_pre_hook(keep_deviation)
        for m in network.modules()
        if isinstance(m, nn.BatchNorm2d)
    ]
    hooks += [m.register_forward_hook(keep_map) for m in network.modules() if isinstance(m, nn.ReLU)]
    shape = batch.images.shape
    generator = batch.generator
    try:
        with unchanged(network), torch.no_grad():
            network.train()
            initialise(network, "standard_normal", generator)
            noise = torch.randn(shape, generator=generator, device=generator.device).to(batch.images)
            step = torch.randn(shape, generator=generator, device=generator.device).to(batch.images)
            network(noise)
            here, spread = maps[-1], torch.stack(deviations).double().log().sum()
            network(noise + _ZEN_STEP * step)
    finally:
        for hook in hooks:
            hook.remove()
    return float((maps[-1] - here).abs().mean().double().log() + spread)


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
