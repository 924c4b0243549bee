"""Pieces of the way back: memory, branches, what nodes see, and the ReLU that branches share.

The algebra is told in `harness.ntk.kernel`, which also names the letters of the shapes.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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

    def columns(self, inputs: Tensor) -> Tensor:
        """The inputs that each output pixel sees: (N, H·W, Ci·k·k)."""
        if self.kernel.shape[-1] == 1:
            return inputs.flatten(2).mT
        return F.unfold(inputs, 3, padding=1, stride=self.stride).mT

    def gradients(self, products_BCK: Tensor, columns: Tensor, total_BB: Tensor) -> None:
        """Add what the weights and the scale give to the kernel; keep mean(g x̂) for the way back."""
        weight_CK = self.kernel.flatten(1)
        scale_BC = torch.einsum("bck,ck->bc", products_BCK, weight_CK) / self.deviation_C
        self.mean_product_BC = scale_BC * (self.xhat.shape[1] / self.xhat.numel())
        xhat_CK = torch.tensordot(self.xhat.flatten(2), columns, dims=([0, 2], [0, 1]))
        weight_BCK = (products_BCK - self.mean_product_BC[:, :, None] * xhat_CK) * self.gain_C[:, None]
        add_block(total_BB, weight_BCK.flatten(1), scale_BC * self.share)

    def scaled(self) -> Tensor:
        """The kernel with its gain: what a cotangent of the output is sent back through."""
        return self.kernel * self.gain_C[:, None, None, None]

    def span(self) -> Tensor:
        """The fixed tensors W_c ᵀ∗ x̂_c: (N, C, Ci·H·W) of the inputs."""
        fixed = F.conv_transpose2d(
            self.xhat,
            self.kernel,
            stride=self.stride,
            padding=self.kernel.shape[-1] // 2,
            output_padding=self.stride - 1,
            groups=len(self.kernel),
        )
        return fixed.reshape(*self.xhat.shape[:2], -1)

    def coefficients(self) -> Tensor:
        """What each cotangent takes of each fixed tensor: (B, C)."""
        assert self.mean_product_BC is not None
        return -self.mean_product_BC * self.gain_C


class Inputs:
    """What the branches into one node see, side by side: centred columns, raw ones, and a one."""

    def __init__(self, centred: Sequence[Tensor], raw: Sequence[Tensor] = ()) -> None:
        parts = [columns - columns.mean((0, 1)) for columns in centred]
        parts += raw
        like = parts[0] if parts else None
        assert like is not None
        self.matrix_NPK = torch.cat([*parts, torch.ones_like(like[..., :1])], 2)
        self.sizes = [part.shape[-1] for part in parts]

    def receive(
        self, cotangent: Tensor, branches: Sequence[Sequence[Branch]], total_BB: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """Add the kernel of the branches of each source; the mean cotangent (B, C), and the raw products."""
        N, B, C = cotangent.shape[:3]
        sums = cotangent.new_zeros((B * C, self.matrix_NPK.shape[-1]))
        for part in runs(cotangent):
            flat = cotangent[part].flatten(3).permute(1, 2, 0, 3).reshape(B * C, -1)
            sums.addmm_(flat, self.matrix_NPK[part].flatten(0, 1))
        *products, ones = torch.split(sums.view(B, C, -1), [*self.sizes, 1], 2)
        start = 0
        for products_BCK, size, arms in zip(products, self.sizes, branches, strict=False):
            columns = self.matrix_NPK[..., start : start + size]
            start += size
            for branch in arms:
                small = branch.kernel[0].numel() < size  # 1x1: the middle of the 3x3 windows
                centre = slice(4, None, 9) if small else slice(None)
                branch.gradients(products_BCK[..., centre], columns[..., centre], total_BB)
        return ones[..., 0] / (N * self.matrix_NPK.shape[1]), products[len(branches) :]


class Relu:
    """The way back from the ends of branches, through them and the ReLU they share, to the ReLU's input."""

    def __init__(self, inputs: Tensor, coefficients_BK: Tensor, span_NKP: Tensor) -> None:
        self.mask = (inputs > 0).to(inputs.dtype)
        self.coefficients_BK = coefficients_BK
        self.span_NKP = span_NKP

    def back(self, sent: Tensor, part: slice, constant: Tensor, direct: Tensor | None, out: Tensor) -> None:
        """Mask what the convolutions sent back, (n, B, C, H, W), and add what went past the ReLU."""
        n = len(sent)
        fixed = torch.baddbmm(
            constant.flatten(1).expand(n, -1, -1),
            self.coefficients_BK.expand(n, -1, -1),
            self.span_NKP[part],
        ).view(sent.shape)
        fixed += sent
        mask = self.mask[part][:, None]
        if direct is None:
            torch.mul(fixed, mask, out=out)
        else:
            torch.addcmul(direct, fixed, mask, out=out)


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
