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
    """A convolution with batch normalisation, and the intermediate values that its backward pass needs.

    >>> branch = Branch.of(torch.randn(4, 2, 5, 5), nn.Conv2d(2, 3, 1, bias=False), nn.BatchNorm2d(3))
    >>> branch.output.shape, branch.span().shape
    (torch.Size([4, 3, 5, 5]), torch.Size([4, 3, 2, 5, 5]))
    """

    kernel: Tensor  # (C, Ci, k, k)
    stride: int
    share: float  # weight in the mean over the operations of the edge
    xhat: Tensor  # (N, C, H, W), outputs before scale and shift
    deviation_C: Tensor
    gain_C: Tensor  # share · scale / deviation
    output: Tensor  # (N, C, H, W)
    mean_product_BC: Tensor | None = None  # mean(g x̂), set by `gradients`

    @classmethod
    def of(cls, inputs: Tensor, conv: nn.Conv2d, norm: nn.BatchNorm2d, share: float = 1.0) -> "Branch":
        """Run the forward pass with batch statistics on inputs (N, Ci, H, W)."""
        raw = F.conv2d(inputs, conv.weight, stride=conv.stride, padding=conv.kernel_size[0] // 2)
        variance_C, mean_C = torch.var_mean(raw, (0, 2, 3), correction=0)
        deviation_C = (variance_C + norm.eps).sqrt()
        xhat = (raw - over_pixels(mean_C)) / over_pixels(deviation_C)
        output = xhat * over_pixels(norm.weight * share) + over_pixels(norm.bias * share)
        gain_C = norm.weight * share / deviation_C
        return cls(conv.weight, conv.stride[0], share, xhat, deviation_C, gain_C, output)

    def gradients(self, products_BCK: Tensor, gram_KK: Tensor, total_BB: Tensor) -> None:
        """Add the contribution of the weights and the scale to the kernel, and store mean(g x̂).

        `products_BCK` are the products of the cotangents with the unfolded inputs of a 3x3 window; a 1x1 kernel uses
        the central column of the window. `gram_KK` is the Gram matrix of these inputs.
        """
        weight_CK = self.kernel.flatten(1)
        if weight_CK.shape[1] < gram_KK.shape[1]:
            products_BCK, gram_KK = products_BCK[..., 4::9], gram_KK[4::9, 4::9]
        scale_BC = torch.einsum("bck,ck->bc", products_BCK, weight_CK) / self.deviation_C
        self.mean_product_BC = scale_BC * (self.xhat.shape[1] / self.xhat.numel())
        xhat_CK = weight_CK @ gram_KK / self.deviation_C[:, None]  # products of x̂ with the unfolded inputs
        weight_BCK = (products_BCK - self.mean_product_BC[:, :, None] * xhat_CK) * self.gain_C[:, None]
        add_block(total_BB, weight_BCK.flatten(1), scale_BC * self.share)

    def scaled(self) -> Tensor:
        """The convolution kernel multiplied by the gain, (C, Ci, k, k)."""
        return self.kernel * self.gain_C[:, None, None, None]

    def span(self) -> Tensor:
        """The fixed tensors W_c ᵀ∗ x̂_c, (N, C, Ci, H, W) with the size of the inputs."""
        fixed: Tensor = F.conv_transpose2d(
            self.xhat,
            self.kernel,
            stride=self.stride,
            padding=self.kernel.shape[-1] // 2,
            output_padding=self.stride - 1,
            groups=len(self.kernel),
        )
        return fixed.view(len(fixed), len(self.kernel), -1, *fixed.shape[2:])

    def coefficients(self) -> Tensor:
        """Coefficients of the fixed tensors of `span` for each cotangent, (B, C)."""
        assert self.mean_product_BC is not None
        return -self.mean_product_BC * self.gain_C


class Inputs:
    """The unfolded inputs of all source nodes, stacked below a row of ones: (N, 1 + K, pixels).

    Inputs in `centred` precede a normalisation and are centred over the batch; those in `raw` are not.

    >>> inputs = Inputs([torch.randn(4, 6, 25), torch.randn(4, 9, 25)])
    >>> inputs.rows_NKP.shape, inputs.ends, [tuple(gram.shape) for gram in inputs.grams]
    (torch.Size([4, 16, 25]), [1, 7, 16], [(6, 6), (9, 9)])
    """

    def __init__(self, centred: Sequence[Tensor], raw: Sequence[Tensor] = ()) -> None:
        parts = [*(columns - columns.mean((0, 2))[:, None] for columns in centred), *raw]
        ones = parts[0].new_ones((len(parts[0]), 1, parts[0].shape[2]))
        self.rows_NKP = torch.cat([ones, *parts], 1)
        self.ends = list(accumulate((part.shape[1] for part in parts), initial=1))
        self.grams = [torch.bmm(part, part.mT).sum(0) for part in parts[: len(centred)]]

    def sums(self, cotangent: Tensor, sources: int) -> Tensor:
        """An accumulator (B · C, K), zero, for the products with the ones and the first `sources` sources."""
        return cotangent.new_zeros((math.prod(cotangent.shape[1:3]), self.ends[sources]))

    def receive(self, sums: Tensor, part: slice, cotangent: Tensor) -> None:
        """Accumulate the products for the images in `part`, whose cotangents are (n, B, C, H, W)."""
        flat = cotangent.flatten(3).permute(1, 2, 0, 3).reshape(len(sums), -1)
        sums.addmm_(flat, self.rows_NKP[part, : sums.shape[1]].mT.reshape(-1, sums.shape[1]))

    def settle(self, sums: Tensor, cotangent: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Split the accumulated products into the mean cotangent (B, C) and the products with each source, (B, C, K) each."""
        products = sums.view(*cotangent.shape[1:3], -1)
        mean_BC = products[..., 0] / (len(cotangent) * cotangent[0, 0, 0].numel())
        return mean_BC, [products[..., start:end] for start, end in pairwise(self.ends)]


class Leaving:
    """Backward pass through the branches that leave a node and through the ReLU that they share.

    `constant` is the mean(g) term, (B, C, H, W). With `fold` 2, pixels of 2x2 windows are stored as channels.
    """

    def __init__(
        self, inputs: Tensor, branches: Sequence[Branch], constant: Tensor, *, fold: int = 1
    ) -> None:
        span = torch.cat([branch.span() for branch in branches], 1)
        if fold > 1:
            inputs, span = F.pixel_unshuffle(inputs, fold), F.pixel_unshuffle(span, fold)
        self.mask = (inputs > 0).to(inputs.dtype)
        self.span_NKP = span.flatten(2)
        self.coefficients_BK = torch.cat([branch.coefficients() for branch in branches], 1)
        self.constant = constant

    def back_(self, sent: Tensor, part: slice) -> None:
        """Turn `sent`, the transposed convolutions (n, B, C, H, W), into the cotangent of the node, in place."""
        coefficients = self.coefficients_BK.expand(len(sent), -1, -1)
        sent.flatten(2).baddbmm_(coefficients, self.span_NKP[part])
        sent += self.constant
        sent *= self.mask[part][:, None]


class Pool:
    """Backward pass through 3x3 average pooling that excludes padding.

    >>> pool, out = Pool(torch.zeros(1, 1, 3, 3)), torch.zeros(1, 1, 3, 3)
    >>> pool.back_([(torch.ones(1, 1, 3, 3), 1.0)], out)
    >>> round(float(out.sum()), 4)
    9.0
    """

    def __init__(self, like: Tensor) -> None:
        H, W = like.shape[-2:]
        ones = like.new_ones((1, 1, H, W))
        self.share_HW = F.avg_pool2d(ones, 3, 1, 1, divisor_override=1).reciprocal()[0, 0]
        self.near_WW = like.new_ones((W, W)).tril(1).triu(-1)

    def back_(self, cotangents: Sequence[tuple[Tensor, float]], out: Tensor) -> None:
        """Add the backward pass of pairs of cotangents (…, H, W) and weights of their edges to `out`."""
        (first, share), *others = cotangents
        total = first * (self.share_HW * share)
        for cotangent, share in others:
            total.addcmul_(cotangent, self.share_HW * share)
        rows = total @ self.near_WW
        out += rows
        out[..., 1:, :] += rows[..., :-1, :]
        out[..., :-1, :] += rows[..., 1:, :]


def columns(inputs: Tensor, kernel: int, stride: int = 1) -> Tensor:
    """The unfolded inputs of a convolution, (N, Ci · kernel², H · W) with the size of its output.

    >>> columns(torch.zeros(2, 3, 4, 4), kernel=3, stride=2).shape
    torch.Size([2, 27, 4])
    """
    return inputs.flatten(2) if kernel == 1 else F.unfold(inputs, kernel, padding=1, stride=stride)


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
