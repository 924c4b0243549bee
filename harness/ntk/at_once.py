"""The neural tangent kernel of a network with few channels, all cotangents at once, by `torch.func`.

One backward pass per image spends most of its time on calling convolutions of one or two channels: for a batch of 14,
85 % on a CPU. Here `torch.func.vmap` sends all B cotangents through one backward pass. Its rule for the backward pass of a
convolution is as slow as a loop, so while the network runs, convolutions and average pools are replaced by ones whose
backward pass is a convolution and a matrix product, for which it has fast rules.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.overrides import TorchFunctionMode

from nasgauge.harness.network.inputs import check_images
from nasgauge.harness.network.unchanged import unchanged


@torch.no_grad()
def kernel_at_once(network: nn.Module, images: Tensor) -> Tensor:
    """The kernel (B, B) in float64, as by `kernel_by_rows`.

    `images` is a float tensor (B, C, H, W). The padding of a convolution is at most dilation · (kernel − 1), the network
    reads no value of a tensor while it runs, and takes memory for B cotangents. Its state does not change.

    Raises InvalidBatch.

    >>> network = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2))
    >>> kernel_at_once(network, torch.randn(5, 1, 4, 4)).shape
    torch.Size([5, 5])
    """
    check_images(images, network)
    weights = {name: p.detach() for name, p in network.named_parameters() if "weight" in name}
    with unchanged(network), _Replaced():
        network.train()

        def outputs(values: Mapping[str, Tensor]) -> Tensor:
            state = dict(values) | {name: buffer.clone() for name, buffer in network.named_buffers()}
            found: Tensor = torch.func.functional_call(network, state, (images,)).sum(1)
            return found

        backward = torch.func.vjp(outputs, weights)[1]
        cotangents = torch.eye(len(images), dtype=images.dtype, device=images.device)
        (gradients,) = torch.func.vmap(backward)(cotangents)
    jacobian_BP = torch.cat([each.flatten(1) for each in gradients.values()], 1).double()
    return jacobian_BP @ jacobian_BP.T


class _How(NamedTuple):
    """Height and width of each."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int


class _Convolution(torch.autograd.Function):
    """`_convolve`, with a backward pass of operations that vmap has fast rules for."""

    @staticmethod
    def forward(images: Tensor, weight: Tensor, how: _How) -> Tensor:
        return _convolve(images, weight, how)

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004 - PyTorch's signature
        images, weight, ctx.how = inputs  # type: ignore[attr-defined] # contexts take any attribute
        ctx.save_for_backward(images, weight)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        images, weight = ctx.saved_tensors
        to_images = (
            _transposed(cotangent, weight, images.shape[2:], ctx.how) if ctx.needs_input_grad[0] else None
        )
        to_weight = _products(cotangent, images, weight.shape, ctx.how) if ctx.needs_input_grad[1] else None
        return to_images, to_weight, None


class _Sums(torch.autograd.Function):
    """Sum over N of g uᵀ: (N, G, O, L) and (N, G, L, K) to (G, O, K); g may have one more dimension under vmap.

    Its rule does not copy g and keeps the products of an image in the cache, which that of einsum does not.
    """

    @staticmethod
    def forward(g: Tensor, u: Tensor) -> Tensor:
        return (g @ u).sum(0)

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple[Any, ...], output: Tensor) -> None:
        pass

    @staticmethod
    def vmap(_info: Any, dims: tuple[int, None], g: Tensor, u: Tensor) -> tuple[Tensor, int]:
        g = g.movedim(dims[0], 2)
        return torch.unflatten((g.flatten(2, 3) @ u).sum(0), 1, g.shape[2:4]), 1


def _convolve(images: Tensor, weight: Tensor, how: _How) -> Tensor:
    """A convolution; a depthwise one with all images as channels, which is up to five times as fast for few channels."""
    N, C = images.shape[:2]
    if how.groups == C == len(weight):
        merged = images.reshape(1, N * C, *images.shape[2:])
        sent = F.conv2d(merged, weight.repeat(N, 1, 1, 1), None, *how[:3], N * C)
        return torch.unflatten(sent[0], 0, (N, C))
    if _pointwise(weight.shape, how):
        strided = _strided(images, how)
        return torch.unflatten(weight.flatten(1) @ strided.flatten(2), 2, strided.shape[2:])
    return F.conv2d(images, weight, None, *how)


def _transposed(cotangent: Tensor, weight: Tensor, size: Iterable[int], how: _How) -> Tensor:
    """The cotangent of a convolution's images, whose height and width are `size`."""
    by_group = torch.unflatten(weight, 0, (how.groups, -1))
    turned = by_group.transpose(1, 2).flatten(0, 1).flip(2, 3)
    reach = [d * (k - 1) for d, k in zip(how.dilation, weight.shape[2:], strict=True)]
    pad = [r - p for r, p in zip(reach, how.padding, strict=True)]
    if how.stride != (1, 1):
        sides = [n + r - 2 * p for n, r, p in zip(size, reach, pad, strict=True)]
        apart = cotangent.new_zeros((*cotangent.shape[:2], *sides))
        rows, columns = (
            slice(0, (n - 1) * s + 1, s) for n, s in zip(cotangent.shape[2:], how.stride, strict=True)
        )
        apart[:, :, rows, columns] = cotangent
        cotangent = apart
    return _convolve(cotangent, turned, _How((1, 1), (pad[0], pad[1]), how.dilation, how.groups))


def _products(cotangent: Tensor, images: Tensor, shape: torch.Size, how: _How) -> Tensor:
    """The gradient of a convolution's weight, of this shape."""
    N = len(images)
    if _pointwise(shape, how):
        unfolded = _strided(images, how).flatten(2)
    else:
        unfolded = F.unfold(images, shape[2:], how.dilation, how.padding, how.stride)
    by_group = unfolded.reshape(N, how.groups, -1, unfolded.shape[-1])
    found: Tensor = _Sums.apply(cotangent.reshape(N, how.groups, -1, unfolded.shape[-1]), by_group.mT)
    return found.reshape(shape)


def _pointwise(shape: torch.Size, how: _How) -> bool:
    return shape[2:] == (1, 1) and how.padding == (0, 0) and how.groups == 1


def _strided(images: Tensor, how: _How) -> Tensor:
    return images[:, :, :: how.stride[0], :: how.stride[1]]


def _conv2d(images: Tensor, weight: Tensor, bias: Tensor | None = None, *given: Any) -> Tensor:
    stride, padding, dilation, groups = given or (1, 0, 1, 1)
    found: Tensor = _Convolution.apply(
        images, weight, _How(_two(stride), _two(padding), _two(dilation), groups)
    )
    return found if bias is None else found + bias[:, None, None]


def _avg_pool2d(images: Tensor, size: Any, stride: Any, padding: Any, *how_else: Any) -> Tensor:
    """As a convolution where the mean is over the pixels of each window that are not padding; else as it is."""
    if any(how_else):  # rounds sides up, counts padding, or has another divisor
        return F.avg_pool2d(images, size, stride, padding, *how_else)
    ones = images.new_ones((images.shape[1], 1, *_two(size)))
    how = _How(_two(stride), _two(padding), (1, 1), images.shape[1])
    found: Tensor = _Convolution.apply(images, ones, how)
    return found / _convolve(torch.ones_like(images[:1]), ones, how)


def _batch_norm(images: Tensor, _mean: Tensor, _variance: Tensor, **how: Any) -> Tensor:
    """In train mode; running statistics are left alone, since vmap cannot change them."""
    return F.batch_norm(images, None, None, how["weight"], how["bias"], True, 0.0, how["eps"])


_REPLACED: Final[Mapping[Callable[..., Any], Callable[..., Tensor]]] = {
    F.conv2d: _conv2d,
    F.avg_pool2d: _avg_pool2d,
    F.batch_norm: _batch_norm,
}
"""What modules call, and what is called instead."""


class _Replaced(TorchFunctionMode):
    def __torch_function__(self, function: Any, _types: Any, arguments: Any = (), named: Any = None) -> Any:
        return _REPLACED.get(function, function)(*arguments, **(named or {}))


def _two(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
