"""Pieces of the way back: memory, branches, what nodes see, and what branches and pools send back.

The algebra is told in `nasgauge.harness.ntk.kernel`, which also names the letters of the shapes.
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
"""Elements of the cotangents that one pass works on: about what a core's second-level cache holds."""
_CUDA: Final = 2**27


class Workspace:
    """Memory for cotangents, kept from one kernel to the next.

    Fresh pages cost several times the arithmetic on them; give one workspace to all calls of a search.
    """

    def __init__(self) -> None:
        self._free: list[Tensor] = []

    def take(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """A tensor of any content."""
        size = math.prod(shape)
        alike = [flat for flat in self._free if (flat.dtype, flat.device) == (like.dtype, like.device)]
        fitting = [flat for flat in alike if flat.numel() >= size]
        if fitting:
            chosen = min(fitting, key=Tensor.numel)
        elif alike:  # what is too small now would not be missed later: the larger one will do
            chosen = max(alike, key=Tensor.numel)
        else:
            return like.new_empty(size).view(shape)
        self._free = [other for other in self._free if other is not chosen]
        return chosen[:size].view(shape) if fitting else like.new_empty(size).view(shape)

    def give(self, tensor: Tensor) -> None:
        """Take back a tensor that `take` gave."""
        self._free.append(tensor._base if tensor._base is not None else tensor)


@dataclass(eq=False, slots=True)
class Branch:
    """A convolution and its normalisation as the way back sees them."""

    kernel: Tensor  # (C, Ci, k, k)
    stride: int
    share: float  # of the average that the edge delivers
    xhat: Tensor  # (N, C, H, W), normalised outputs
    deviation_C: Tensor
    gain_C: Tensor  # share · scale / deviation
    output: Tensor  # (N, C, H, W)
    mean_product_BC: Tensor | None = None  # mean(g x̂), once g is known

    @classmethod
    def of(cls, inputs: Tensor, conv: nn.Conv2d, norm: nn.BatchNorm2d, share: float = 1.0) -> "Branch":
        """Run it forward, with the statistics of the batch."""
        raw = F.conv2d(inputs, conv.weight, stride=conv.stride, padding=conv.kernel_size[0] // 2)
        variance_C, mean_C = torch.var_mean(raw, (0, 2, 3), correction=0)
        deviation_C = (variance_C + norm.eps).sqrt()
        xhat = (raw - over_pixels(mean_C)) / over_pixels(deviation_C)
        output = xhat * over_pixels(norm.weight * share) + over_pixels(norm.bias * share)
        gain_C = norm.weight * share / deviation_C
        return cls(conv.weight, conv.stride[0], share, xhat, deviation_C, gain_C, output)

    def gradients(self, products_BCK: Tensor, gram_KK: Tensor, total_BB: Tensor) -> None:
        """Add what the weights and the scale give to the kernel; keep mean(g x̂) for the way back.

        Products are those of the cotangents with the columns of a 3x3 window, of which a 1x1 sees the middle.
        """
        weight_CK = self.kernel.flatten(1)
        if weight_CK.shape[1] < gram_KK.shape[1]:
            products_BCK, gram_KK = products_BCK[..., 4::9], gram_KK[4::9, 4::9]
        scale_BC = torch.einsum("bck,ck->bc", products_BCK, weight_CK) / self.deviation_C
        self.mean_product_BC = scale_BC * (self.xhat.shape[1] / self.xhat.numel())
        xhat_CK = weight_CK @ gram_KK / self.deviation_C[:, None]  # the products of x̂ with the columns
        weight_BCK = (products_BCK - self.mean_product_BC[:, :, None] * xhat_CK) * self.gain_C[:, None]
        add_block(total_BB, weight_BCK.flatten(1), scale_BC * self.share)

    def scaled(self) -> Tensor:
        """The kernel with its gain: what a cotangent of the output is sent back through."""
        return self.kernel * self.gain_C[:, None, None, None]

    def span(self) -> Tensor:
        """The fixed tensors W_c ᵀ∗ x̂_c: (N, C, Ci, H, W) of the inputs."""
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
        """What each cotangent takes of each fixed tensor: (B, C)."""
        assert self.mean_product_BC is not None
        return -self.mean_product_BC * self.gain_C


class Inputs:
    """What the convolutions of a pass see: a row of ones, then the columns of each source, one below the other.

    The columns of a source are what each output pixel sees of it, centred where a normalisation follows.
    """

    def __init__(self, centred: Sequence[Tensor], raw: Sequence[Tensor] = ()) -> None:
        parts = [*(columns - columns.mean((0, 2))[:, None] for columns in centred), *raw]
        ones = parts[0].new_ones((len(parts[0]), 1, parts[0].shape[2]))
        self.rows_NKP = torch.cat([ones, *parts], 1)
        self.ends = list(accumulate((part.shape[1] for part in parts), initial=1))
        self.grams = [torch.bmm(part, part.mT).sum(0) for part in parts[: len(centred)]]

    def sums(self, cotangent: Tensor, sources: int) -> Tensor:
        """Where the products of a cotangent with the ones and the first sources add up: (B · C, K)."""
        return cotangent.new_zeros((math.prod(cotangent.shape[1:3]), self.ends[sources]))

    def receive(self, sums: Tensor, part: slice, cotangent: Tensor) -> None:
        """Add the products of some images: their cotangents are (n, B, C, H, W)."""
        flat = cotangent.flatten(3).permute(1, 2, 0, 3).reshape(len(sums), -1)
        sums.addmm_(flat, self.rows_NKP[part, : sums.shape[1]].mT.reshape(-1, sums.shape[1]))

    def settle(self, sums: Tensor, cotangent: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The mean of the cotangent (B, C), and its products with each source (B, C, K)."""
        products = sums.view(*cotangent.shape[1:3], -1)
        mean_BC = products[..., 0] / (len(cotangent) * cotangent[0, 0, 0].numel())
        return mean_BC, [products[..., start:end] for start, end in pairwise(self.ends)]


class Leaving:
    """The way back through the branches that leave a node, and through the ReLU that they share."""

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
        """Make of what the convolutions sent back, (n, B, C, H, W), what the node gets; in place."""
        coefficients = self.coefficients_BK.expand(len(sent), -1, -1)
        sent.flatten(2).baddbmm_(coefficients, self.span_NKP[part])
        sent += self.constant
        sent *= self.mask[part][:, None]


class Pool:
    """The way back through the 3x3 average of the pixels that are there."""

    def __init__(self, like: Tensor) -> None:
        H, W = like.shape[-2:]
        ones = like.new_ones((1, 1, H, W))
        self.share_HW = F.avg_pool2d(ones, 3, 1, 1, divisor_override=1).reciprocal()[0, 0]
        self.near_WW = like.new_ones((W, W)).tril(1).triu(-1)

    def back_(self, cotangents: Sequence[tuple[Tensor, float]], out: Tensor) -> None:
        """Add what several cotangents, (…, H, W), send back, each with its share of an edge's average."""
        (first, share), *others = cotangents
        total = first * (self.share_HW * share)
        for cotangent, share in others:
            total.addcmul_(cotangent, self.share_HW * share)
        rows = total @ self.near_WW
        out += rows
        out[..., 1:, :] += rows[..., :-1, :]
        out[..., :-1, :] += rows[..., 1:, :]


def columns(inputs: Tensor, kernel: int, stride: int = 1) -> Tensor:
    """What each output pixel of a convolution sees: (N, Ci · kernel², H · W)."""
    return inputs.flatten(2) if kernel == 1 else F.unfold(inputs, kernel, padding=1, stride=stride)


def add_block(total_BB: Tensor, *blocks: Tensor) -> None:
    """Add J Jᵀ of some columns of J, in float64."""
    jacobian = torch.cat(blocks, 1).double()
    total_BB.addmm_(jacobian, jacobian.T)


def over_pixels(values_C: Tensor) -> Tensor:
    """One value a channel, to go with (N, C, H, W)."""
    return values_C.view(1, -1, 1, 1)


def everywhere(values_BC: Tensor, like: Tensor) -> Tensor:
    """One value a channel, the same on all pixels: (B, C, H, W)."""
    return values_BC[:, :, None, None].expand(-1, -1, *like.shape[-2:])


def runs(cotangent: Tensor) -> Iterator[slice]:
    """Runs of images whose cotangents are worked on together."""
    target = _CUDA if cotangent.is_cuda else _CACHE
    step = max(1, round(target / cotangent[0].numel()))
    return (slice(start, start + step) for start in range(0, len(cotangent), step))
