"""Building blocks of the backward pass for the tangent kernel.

See `nasgauge.harness.ntk.kernel` for the algebra and the notation of shapes.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_CACHE: Final = 2**16
"""Cotangent elements processed at a time on a CPU: about the size of a second-level cache."""
_CUDA: Final = 2**27
"""The same on a GPU."""


class Workspace:
    """A pool of buffers for cotangents, reused from one kernel to the next.

    Allocating fresh memory costs several times the arithmetic on it, so share one workspace among all calls of a
    search. A workspace is not safe to share between threads.

    >>> workspace, like = Workspace(), torch.zeros(1)
    >>> buffer = workspace.take((2, 3), like)
    >>> workspace.give(buffer)
    >>> workspace.take((6,), like).data_ptr() == buffer.data_ptr()
    True
    """

    def __init__(self) -> None:
        self._free: list[Tensor] = []

    def take(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """An uninitialised tensor of this shape, with dtype and device of `like`."""
        size = math.prod(shape)
        alike = [flat for flat in self._free if (flat.dtype, flat.device) == (like.dtype, like.device)]
        fitting = [flat for flat in alike if flat.numel() >= size]
        if fitting:
            chosen = min(fitting, key=Tensor.numel)
        elif alike:  # too small: drop it, since the larger new buffer replaces it
            chosen = max(alike, key=Tensor.numel)
        else:
            return like.new_empty(size).view(shape)
        self._free = [other for other in self._free if other is not chosen]
        return chosen[:size].view(shape) if fitting else like.new_empty(size).view(shape)

    def give(self, tensor: Tensor) -> None:
        """Return a tensor obtained from `take` to the pool."""
        self._free.append(tensor._base if tensor._base is not None else tensor)


@dataclass(eq=False, slots=True)
class Branch:
    """A convolution with batch normalisation, and the intermediate values that its backward pass needs."""

    kernel: Tensor  # (C, Ci, k, k)
    stride: int
    share: float  # weight in the mean over the operations of the edge
    norm: nn.BatchNorm2d
    xhat: Tensor  # (N, C, H, W), outputs before scale and shift
    deviation_C: Tensor
    gain_C: Tensor  # share · scale / deviation
    mean_product_BC: Tensor | None = None  # mean(g x̂), set by `gradients`

    def output(self) -> Tensor:
        """The contribution of the branch to the node that it leads to, (N, C, H, W)."""
        scale, shift = self.norm.weight * self.share, self.norm.bias * self.share
        return torch.addcmul(over_pixels(shift), self.xhat, over_pixels(scale))

    def gradients(self, products_BCK: Tensor, gram_KK: Tensor, total_BB: Tensor) -> None:
        """Add the contribution of the weights and the scale to the kernel, and store mean(g x̂).

        `products_BCK` are the products of the cotangents with the unfolded inputs of a 3x3 window; a 1x1 kernel uses
        the central column of the window. `gram_KK` is the Gram matrix of these inputs. Both are centred.
        """
        weight_CK = self.kernel.flatten(1)
        if weight_CK.shape[1] < gram_KK.shape[1]:
            products_BCK, gram_KK = products_BCK[..., 4::9], gram_KK[4::9, 4::9]
        scale_BC = torch.einsum("bck,ck->bc", products_BCK, weight_CK) / self.deviation_C
        self.mean_product_BC = scale_BC * (self.xhat.shape[1] / self.xhat.numel())
        xhat_CK = (
            weight_CK @ gram_KK.to(weight_CK) / self.deviation_C[:, None]
        )  # products of x̂ with the inputs
        weight_BCK = (products_BCK - self.mean_product_BC[:, :, None] * xhat_CK) * self.gain_C[:, None]
        add_block(total_BB, weight_BCK.flatten(1), scale_BC * self.share)

    def scaled(self) -> Tensor:
        """The convolution kernel multiplied by the gain, (C, Ci, k, k)."""
        return self.kernel * self.gain_C[:, None, None, None]

    def span(self) -> Tensor:
        """The fixed tensors W_c ᵀ∗ x̂_c, (N, C, Ci, H, W).

        With stride 2 the pixels of the 2x2 windows of the inputs are channels: (N, C, 4 Ci, H, W).
        """
        C, _, k, _ = self.kernel.shape
        if k == 1:
            return self.xhat[:, :, None] * self.kernel
        kernel = by_phase(self.kernel) if self.stride == 2 else self.kernel.flip(2, 3)
        fixed = F.conv2d(self.xhat, kernel.flatten(0, 1)[:, None], padding=1, groups=C)
        return fixed.view(len(fixed), C, -1, *fixed.shape[2:])

    def coefficients(self) -> Tensor:
        """Coefficients of the fixed tensors of `span` for each cotangent, (B, C)."""
        assert self.mean_product_BC is not None
        return -self.mean_product_BC * self.gain_C


Arm = tuple[nn.Conv2d, nn.BatchNorm2d, float]
"""A convolution, its batch normalisation, and its weight in the mean over the operations of the edge."""


class Inputs:
    """The unfolded inputs of several source nodes, stacked below a row of ones: (N, 1 + K, pixels).

    `rows` are the numbers of rows of the sources, `size` is height and width of what they are convolved to.

    >>> memory, images = Workspace(), torch.randn(4, 2, 5, 5)
    >>> inputs = Inputs(images, [18, 0], (5, 5), memory)
    >>> inputs.fill(0, images)
    >>> (branch,) = inputs.branches(0, [(nn.Conv2d(2, 3, 1, bias=False), nn.BatchNorm2d(3), 1.0)])
    >>> branch.output().shape, branch.span().shape
    (torch.Size([4, 3, 5, 5]), torch.Size([4, 3, 2, 5, 5]))
    """

    def __init__(self, like: Tensor, rows: Sequence[int], size: Sequence[int], memory: Workspace) -> None:
        self.size = size
        self.ends = list(accumulate(rows, initial=1))
        self.rows_NKP = memory.take((len(like), self.ends[-1], math.prod(size)), like)
        self.rows_NKP[:, 0] = 1
        self.means: dict[int, Tensor] = {}
        self.grams: dict[int, Tensor] = {}

    def fill(self, source: int, values: Tensor, stride: int = 1) -> None:
        """Unfold the values (N, C, H, W) of a source: 3x3 windows if it has 9 rows a channel."""
        rows_NKP = self._rows(source)
        if rows_NKP.shape[1] == values.shape[1]:
            rows_NKP.copy_(values.flatten(2))
            return
        windows = F.pad(values, (1, 1, 1, 1)).unfold(2, 3, stride).unfold(3, 3, stride)
        rows_NKP.view(*values.shape[:2], 3, 3, *self.size).copy_(windows.permute(0, 1, 4, 5, 2, 3))

    def branches(self, source: int, arms: Sequence[Arm]) -> list[Branch]:
        """The forward pass with batch statistics through all convolutions that leave a source.

        x̂ is linear in the unfolded inputs, and its statistics follow from their mean and Gram matrix.
        """
        rows_NKP, count = self._rows(source), self.rows_NKP.shape[0] * self.rows_NKP.shape[2]
        mean_K = rows_NKP.sum(2).sum(0, dtype=torch.float64) / count
        gram_KK = torch.bmm(rows_NKP, rows_NKP.mT).sum(0, dtype=torch.float64)
        gram_KK -= count * torch.outer(mean_K, mean_K)
        self.means[source], self.grams[source] = mean_K, gram_KK
        windowed = len(mean_K) > arms[0][0].in_channels
        kernels = [
            F.pad(c.weight, (1,) * 4) if windowed and c.kernel_size[0] == 1 else c.weight for c, _, _ in arms
        ]
        weight_RK = torch.cat(kernels).flatten(1)
        exact_RK = weight_RK.double()
        variance_R = ((exact_RK @ gram_KK) * exact_RK).sum(1).clamp(min=0) / count
        eps_R = torch.cat([variance_R.new_full((c.out_channels,), norm.eps) for c, norm, _ in arms])
        deviation_R = (variance_R + eps_R).sqrt()
        shift_R = -(exact_RK @ mean_K) / deviation_R
        deviation_R, shift_R = deviation_R.to(weight_RK), shift_R.to(weight_RK)
        scaled_RK = (weight_RK / deviation_R[:, None]).expand(len(rows_NKP), -1, -1)
        flat = torch.baddbmm(shift_R[None, :, None], scaled_RK, rows_NKP)
        xhat = flat.view(*flat.shape[:2], *self.size)
        parts = [c.out_channels for c, _, _ in arms]
        return [
            Branch(
                conv.weight, conv.stride[0], share, norm, own, deviation_C, norm.weight * share / deviation_C
            )
            for (conv, norm, share), own, deviation_C in zip(
                arms, torch.split(xhat, parts, 1), torch.split(deviation_R, parts), strict=True
            )
        ]

    def sums(self, cotangent: Tensor, sources: int) -> Tensor:
        """An accumulator (B · C, K), zero, for the products with the ones and the first `sources` sources."""
        return cotangent.new_zeros((math.prod(cotangent.shape[1:3]), self.ends[sources]))

    def receive(self, sums: Tensor, part: slice, cotangent: Tensor) -> None:
        """Accumulate the products for the images in `part`, whose cotangents are (n, B, C, H, W)."""
        flat = cotangent.flatten(3).permute(1, 2, 0, 3).reshape(len(sums), -1)
        sums.addmm_(flat, self.rows_NKP[part, : sums.shape[1]].mT.reshape(-1, sums.shape[1]))

    def settle(self, sums: Tensor, cotangent: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Split the accumulated products into the mean cotangent (B, C) and the products with each source, (B, C, K) each.

        The products with the sources of `branches` are centred.
        """
        products = sums.view(*cotangent.shape[1:3], -1)
        total_BC = products[..., 0]
        split = [products[..., start:end] for start, end in pairwise(self.ends)]
        for source, mean_K in self.means.items():
            if self.ends[source + 1] <= products.shape[2]:
                split[source] = split[source] - total_BC[..., None] * mean_K.to(total_BC)
        return total_BC / (len(cotangent) * cotangent[0, 0, 0].numel()), split

    def _rows(self, source: int) -> Tensor:
        return self.rows_NKP[:, self.ends[source] : self.ends[source + 1]]


class Leaving:
    """Backward pass through the branches that leave a node and through the ReLU that they share.

    `constant` is the mean(g) term, (B, C, H, W). With `fold` 2, pixels of 2x2 windows are stored as channels.
    """

    def __init__(
        self,
        inputs: Tensor,
        branches: Sequence[Branch],
        constant: Tensor,
        memory: Workspace,
        *,
        fold: int = 1,
    ) -> None:
        inputs = F.pixel_unshuffle(inputs, fold)
        self.mask = (inputs > 0).to(inputs.dtype)
        self.coefficients_BK = torch.cat([branch.coefficients() for branch in branches], 1)
        K = self.coefficients_BK.shape[1]
        self.span_NKP = memory.take((len(inputs), K, inputs[0].numel()), inputs)
        start = 0
        for branch in branches:
            span = branch.span()
            self.span_NKP[:, start : start + span.shape[1]] = span.flatten(2)
            start += span.shape[1]
        self.constant = constant

    def back_(self, sent: Tensor, part: slice) -> None:
        """Turn `sent`, the transposed convolutions (n, B, C, H, W), into the cotangent of the node, in place."""
        coefficients = self.coefficients_BK.expand(len(sent), -1, -1)
        sent.flatten(2).baddbmm_(coefficients, self.span_NKP[part])
        sent += self.constant
        sent *= self.mask[part][:, None]


class Pool:
    """3x3 average pooling that excludes padding, and its backward pass.

    >>> pool, out = Pool(torch.zeros(1, 1, 3, 3)), torch.zeros(1, 1, 3, 3)
    >>> pool.back_(torch.ones(1, 1, 3, 3), out)
    >>> round(float(out.sum()), 4)
    9.0
    """

    def __init__(self, like: Tensor) -> None:
        H, W = like.shape[-2:]
        ones = like.new_ones((1, 1, H, W))
        self.share_HW = F.avg_pool2d(ones, 3, 1, 1, divisor_override=1).reciprocal()[0, 0]
        self.near_WW = like.new_ones((W, W)).tril(1).triu(-1)

    def forward(self, values: Tensor) -> Tensor:
        """Pool (N, C, H, W). A depthwise convolution is faster on a CPU than average pooling."""
        ones = values.new_ones((values.shape[1], 1, 3, 3))
        return F.conv2d(values, ones, padding=1, groups=values.shape[1]) * self.share_HW

    def back_(self, cotangent: Tensor, out: Tensor) -> None:
        """Add the backward pass of a cotangent (…, H, W) to `out`; the cotangent is overwritten."""
        rows = cotangent.mul_(self.share_HW) @ self.near_WW
        out += rows
        out[..., 1:, :] += rows[..., :-1, :]
        out[..., :-1, :] += rows[..., 1:, :]


def by_phase(kernel: Tensor) -> Tensor:
    """The kernels of stride 1 that transpose a 3x3 convolution of stride 2: (C, Ci, 3, 3) to (C, 4 Ci, 3, 3).

    Input row 2y is multiplied by the middle kernel row for output row y. Input row 2y + 1 is multiplied by the last
    kernel row for output row y, and by the first one for output row y + 1.
    """
    phases = kernel.new_zeros((*kernel.shape[:2], 2, 2, 3, 3))
    met: tuple[tuple[tuple[int, int], ...], ...] = (
        ((1, 1),),
        ((1, 2), (2, 0)),
    )  # (row of the new kernel, row of the old kernel)
    for row, rows in enumerate(met):
        for column, places in enumerate(met):
            for y, old_y in rows:
                for x, old_x in places:
                    phases[:, :, row, column, y, x] = kernel[:, :, old_y, old_x]
    return phases.flatten(1, 3)


def add_block(total_BB: Tensor, *blocks: Tensor) -> None:
    """Add J Jᵀ for a group of columns of J to `total_BB` in place, in float64.

    >>> total_BB = torch.zeros(2, 2, dtype=torch.float64)
    >>> add_block(total_BB, torch.tensor([[1.0], [2.0]]))
    >>> total_BB.tolist()
    [[1.0, 2.0], [2.0, 4.0]]
    """
    jacobian = torch.cat(blocks, 1).double()
    total_BB.addmm_(jacobian, jacobian.T)


def over_pixels(values_C: Tensor) -> Tensor:
    """Reshape values per channel (C,) to (1, C, 1, 1), which broadcasts with (N, C, H, W).

    >>> over_pixels(torch.zeros(5)).shape
    torch.Size([1, 5, 1, 1])
    """
    return values_C.view(1, -1, 1, 1)


def everywhere(values_BC: Tensor, like: Tensor) -> Tensor:
    """Expand values per channel (B, C) to all pixels of `like`, (B, C, H, W).

    >>> everywhere(torch.zeros(2, 5), torch.zeros(4, 4)).shape
    torch.Size([2, 5, 4, 4])
    """
    return values_BC[:, :, None, None].expand(-1, -1, *like.shape[-2:])


def runs(cotangent: Tensor) -> Iterator[slice]:
    """Slices of consecutive images whose cotangents are processed together, chosen to fit the cache.

    >>> list(runs(torch.zeros(4, 2, 16, 32, 32)))
    [slice(0, 2, None), slice(2, 4, None)]
    """
    target = _CUDA if cotangent.is_cuda else _CACHE
    step = max(1, round(target / cotangent[0].numel()))
    return (slice(start, start + step) for start in range(0, len(cotangent), step))
