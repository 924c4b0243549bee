"""The neural tangent kernel of a network in train mode, exact and fast (Jacot et al., 2018).

The kernel of a batch is J Jᵀ, where row b of J is the gradient of the sum of image b's logits with respect
to all weights of convolutions, classifier and normalisation scales, biases left out (Chen et al., 2021:
TE-NAS, section 3.1.1). In train mode batch normalisation couples the images: every row needs a gradient on
every image, so the usual per-sample shortcuts give another kernel.

`kernel_by_rows` goes back through the network once for each image; it works for any network. `kernel` goes
back once with all cotangents together, by hand, and gives the same kernel of `harness.network.Network`:

- A convolution followed by normalisation sends back W ᵀ∗ gain (g − mean(g) − x̂ mean(g x̂)), g the cotangent
  of the node it ends in. All branches that leave a node share one merged convolution of g. The mean only
  adds a tensor that is the same for all images, and the x̂ term lies in the span of the fixed tensors
  W_c ᵀ∗ x̂_c: a matrix product of their coefficients.
- mean(g x̂), the weights' gradients and the scales' gradients all follow from one matrix product of g with
  the unfolded, centred inputs of the node, since x̂ is itself linear in them.

Shapes carry letters: N images, B cotangents (one for each image: B = N), C channels, H and W pixels,
K columns of unfolded inputs, P weights. Cotangents are (N, B, C, H, W): what concerns one image lies
together, small enough for the cache.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.cells import EDGES
from harness.network import Network
from harness.network.inputs import check_images
from harness.network.nb201 import CellModule, ReLUConvBN, ResidualBlock
from harness.network.unchanged import unchanged

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


def condition_number(kernel_BB: Tensor) -> float:
    """Largest over smallest eigenvalue, in float64; NaN for a kernel of zeros or one that is not finite.

    A smallest eigenvalue that rounding makes zero or negative gives infinity.

    >>> condition_number(torch.tensor([[4.0, 0.0], [0.0, 2.0]]))
    2.0
    """
    kernel_BB = kernel_BB.double()
    if not bool(kernel_BB.isfinite().all()):
        return float("nan")
    eigenvalues = torch.linalg.eigvalsh(kernel_BB)
    smallest, largest = float(eigenvalues[0]), float(eigenvalues[-1])
    if largest <= 0:
        return float("nan")
    return largest / smallest if smallest > 0 else float("inf")


def kernel_by_rows(network: nn.Module, images: Tensor) -> Tensor:
    """The kernel (B, B) in float64, one backward pass for each image; any network that gives logits.

    Raises InvalidBatch.
    """
    check_images(images, network)
    weights = [parameter for name, parameter in network.named_parameters() if "weight" in name]
    with unchanged(network), torch.enable_grad():
        network.train()
        for weight in weights:
            weight.requires_grad_(True)
        outputs = network(images).sum(1)
        rows = []
        for place in range(len(images)):
            gradients = torch.autograd.grad(outputs[place], weights, retain_graph=True, allow_unused=True)
            rows.append(torch.cat([g.flatten() for g in gradients if g is not None]))
    jacobian_BP = torch.stack(rows).double()
    return jacobian_BP @ jacobian_BP.T


@torch.no_grad()
def kernel(network: Network, images: Tensor, workspace: Workspace | None = None) -> Tensor:
    """The kernel (B, B) in float64 of a NAS-Bench-201 network or supernet, all rows at once.

    The network's running statistics, gradients and mode are not touched.

    Raises InvalidBatch.
    """
    check_images(images, network, network.skeleton.image_channels)
    if network.stem is None or any(side % 2 ** (network.skeleton.stages - 1) for side in images.shape[2:]):
        return kernel_by_rows(network, images)
    memory = workspace or Workspace()
    total_BB = torch.zeros((len(images),) * 2, dtype=torch.float64, device=images.device)
    conv, norm = network.stem
    stem = _Branch.of(images, conv, norm)
    values = stem.output
    passes: list[_CellPass | _BlockPass] = []
    for module in network.body:
        passes.append(
            _CellPass(module, values) if isinstance(module, CellModule) else _BlockPass(module, values)
        )
        values = passes[-1].output
    cotangent = _head(network, values, total_BB, memory)
    while passes:
        cotangent = passes.pop().back(cotangent, total_BB, memory)
    _Inputs([stem.columns(images)]).receive(cotangent, [[stem]], total_BB)
    memory.give(cotangent)
    return total_BB


@dataclass(eq=False, slots=True)
class _Branch:
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
    def of(cls, inputs: Tensor, conv: nn.Conv2d, norm: nn.BatchNorm2d, share: float = 1.0) -> "_Branch":
        raw = F.conv2d(inputs, conv.weight, stride=conv.stride, padding=conv.kernel_size[0] // 2)
        variance_C, mean_C = torch.var_mean(raw, (0, 2, 3), correction=0)
        deviation_C = (variance_C + norm.eps).sqrt()
        xhat = (raw - _over_pixels(mean_C)) / _over_pixels(deviation_C)
        output = xhat * _over_pixels(norm.weight * share) + _over_pixels(norm.bias * share)
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
        _add(total_BB, weight_BCK.flatten(1), scale_BC * self.share)

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


class _Inputs:
    """What the branches into one node see, side by side: centred columns, raw ones, and a one."""

    def __init__(self, centred: Sequence[Tensor], raw: Sequence[Tensor] = ()) -> None:
        parts = [columns - columns.mean((0, 1)) for columns in centred]
        parts += raw
        like = parts[0] if parts else None
        assert like is not None
        self.matrix_NPK = torch.cat([*parts, torch.ones_like(like[..., :1])], 2)
        self.sizes = [part.shape[-1] for part in parts]

    def receive(
        self, cotangent: Tensor, branches: Sequence[Sequence[_Branch]], total_BB: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """Add the kernel of the branches of each source; the mean cotangent (B, C), and the raw products."""
        N, B, C = cotangent.shape[:3]
        sums = cotangent.new_zeros((B * C, self.matrix_NPK.shape[-1]))
        for part in _parts(cotangent):
            flat = cotangent[part].flatten(3).permute(1, 2, 0, 3).reshape(B * C, -1)
            sums.addmm_(flat, self.matrix_NPK[part].flatten(0, 1))
        *products, ones = sums.view(B, C, -1).split([*self.sizes, 1], 2)
        start = 0
        for products_BCK, size, arms in zip(products, self.sizes, branches, strict=False):
            columns = self.matrix_NPK[..., start : start + size]
            start += size
            for branch in arms:
                small = branch.kernel[0].numel() < size  # 1x1: the middle of the 3x3 windows
                centre = slice(4, None, 9) if small else slice(None)
                branch.gradients(products_BCK[..., centre], columns[..., centre], total_BB)
        return ones[..., 0] / (N * self.matrix_NPK.shape[1]), products[len(branches) :]


class _Relu:
    """The way back from the ends of branches, through them and the ReLU they share, to the ReLU's input."""

    def __init__(self, inputs: Tensor, coefficients_BK: Tensor, span_NKP: Tensor) -> None:
        self.mask = (inputs > 0).to(inputs.dtype)
        self.coefficients_BK = coefficients_BK
        self.span_NKP = span_NKP

    def back(self, sent: Tensor, part: slice, constant: Tensor, direct: Tensor | None, out: Tensor) -> None:
        """Mask what the convolutions sent back, (n, B, C, H, W), and add what went past the ReLU."""
        n, B = sent.shape[:2]
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


class _CellPass:
    """One cell: forward when made, then back."""

    def __init__(self, cell: CellModule, inputs: Tensor) -> None:
        self.nodes = [inputs]
        self.rectified = []
        self.branches: dict[tuple[int, int], list[_Branch]] = {}
        self.skips: dict[tuple[int, int], float] = {}
        self.pools: dict[tuple[int, int], float] = {}
        self.reached = {0}
        for into in (1, 2, 3):
            self.rectified.append(self.nodes[-1].relu())
            total = torch.zeros_like(inputs)
            for operations, share, edge in zip(cell.edges, cell.weights, EDGES, strict=True):
                if edge[1] == into and len(operations):
                    total += self._edge(operations, share, edge)
                    if edge[0] in self.reached:
                        self.reached.add(into)
            self.nodes.append(total)
        self.output = self.nodes[-1]

    def _edge(self, operations: nn.ModuleDict, share: float, edge: tuple[int, int]) -> Tensor:
        source, total = edge[0], torch.zeros_like(self.nodes[0])
        for operation in operations.values():
            if isinstance(operation, ReLUConvBN):
                branch = _Branch.of(self.rectified[source], operation.conv, operation.norm, share)
                self.branches.setdefault(edge, []).append(branch)
                total += branch.output
            elif isinstance(operation, nn.AvgPool2d):
                self.pools[edge] = share
                total += share * operation(self.nodes[source])
            else:
                self.skips[edge] = share
                total += share * self.nodes[source]
        return total

    def back(self, cotangent: Tensor, total_BB: Tensor, memory: Workspace) -> Tensor:
        """From the cotangents of the output to those of the input; adds to the kernel."""
        if 3 not in self.reached:
            return cotangent.zero_()
        cotangents, means = {3: cotangent}, {}
        for node in (3, 2, 1, 0):
            if node < 3:
                ends = [j for j in cotangents if self._joined(node, j)]
                if node not in self.reached or not ends:
                    continue
                cotangents[node] = self._leave(node, ends, cotangents, means, memory)
            sources = [s for s in range(node) if s in self.reached and (s, node) in self.branches]
            if sources:
                arms = [self.branches[s, node] for s in sources]
                columns = [
                    max(arm, key=lambda branch: branch.kernel.numel()).columns(self.rectified[s])
                    for s, arm in zip(sources, arms, strict=True)
                ]
                means[node], _ = _Inputs(columns).receive(cotangents[node], arms, total_BB)
        for node in cotangents:
            if node:
                memory.give(cotangents[node])
        return cotangents[0]

    def _joined(self, source: int, into: int) -> bool:
        edge = (source, into)
        return edge in self.branches or edge in self.skips or edge in self.pools

    def _leave(
        self,
        node: int,
        ends: list[int],
        cotangents: dict[int, Tensor],
        means: dict[int, Tensor],
        memory: Workspace,
    ) -> Tensor:
        """The cotangents of a node from those of the nodes its edges end in."""
        N, B, C, H, W = cotangents[3].shape
        branches = [branch for end in ends for branch in self.branches.get((node, end), ())]
        pooled = any((node, end) in self.pools for end in ends)
        skipped = any((node, end) in self.skips for end in ends)
        size = 3 if pooled or any(branch.kernel.shape[-1] == 3 for branch in branches) else 1
        like = cotangents[3]
        main = like.new_zeros((C, len(ends) + pooled, C, size, size))
        direct = torch.zeros_like(main)
        eye = torch.eye(C, dtype=like.dtype, device=like.device)
        for place, end in enumerate(ends):
            for branch in self.branches.get((node, end), ()):
                width = branch.kernel.shape[-1]
                middle = slice(size // 2 - width // 2, size // 2 + width // 2 + 1)
                main[:, place, :, middle, middle] += branch.scaled().transpose(0, 1).flip(2, 3)
            direct[:, place, :, size // 2, size // 2] = eye * self.skips.get((node, end), 0.0)
        if pooled:
            direct[:, -1] = eye[:, :, None, None]
            windows = F.avg_pool2d(like.new_ones((1, 1, H, W)), 3, 1, 1)  # pixels of each window, over 9
            shares = [self.pools.get((node, end), 0.0) / 9 / windows for end in ends]
        kernels = ([main] if branches else []) + ([direct] if pooled or skipped else [])
        merged = torch.cat(kernels).flatten(1, 2)
        if branches:
            coefficients = torch.cat([branch.coefficients() for branch in branches], 1)
            relu = _Relu(self.nodes[node], coefficients, torch.cat([branch.span() for branch in branches], 1))
            fields = [-means[end] if end in means else like.new_zeros((B, C)) for end in ends]
            field = torch.cat([*fields, *([torch.zeros_like(fields[0])] if pooled else [])], 1)
            constant = F.conv2d(field[:, :, None, None].expand(-1, -1, H, W), merged[:C], padding=size // 2)
        result = memory.take(like.shape, like)
        for part in _parts(like):
            inputs = [cotangents[end][part].flatten(0, 1) for end in ends]
            if pooled:
                inputs.append(sum(x * share for x, share in zip(inputs, shares, strict=True)))
            sent = F.conv2d(torch.cat(inputs, 1), merged, padding=size // 2).unflatten(0, (-1, B))
            if branches:
                past = sent[:, :, C:] if len(kernels) == 2 else None
                relu.back(sent[:, :, :C], part, constant, past, result[part])
            else:
                result[part] = sent
        return result


class _BlockPass:
    """One residual block: forward when made, then back."""

    def __init__(self, block: ResidualBlock, inputs: Tensor) -> None:
        self.inputs = inputs
        self.pooled = block.pool(inputs)
        self.shortcut = block.shortcut.weight
        self.first = _Branch.of(inputs.relu(), block.first.conv, block.first.norm)
        self.second = _Branch.of(self.first.output.relu(), block.second.conv, block.second.norm)
        self.output = self.second.output + F.conv2d(self.pooled, self.shortcut)

    def back(self, cotangent: Tensor, total_BB: Tensor, memory: Workspace) -> Tensor:
        """From the cotangents of the output to those of the input; adds to the kernel."""
        N, B = cotangent.shape[:2]
        middle, first, second = self.first.output.relu(), self.first, self.second
        inputs = _Inputs([second.columns(middle)], [self.pooled.flatten(2).mT])
        mean, (shortcut,) = inputs.receive(cotangent, [[second]], total_BB)
        _add(total_BB, shortcut.flatten(1))
        kernel = second.scaled().transpose(0, 1).flip(2, 3)
        constant = F.conv2d(_field(-mean, cotangent), kernel, padding=1)
        relu = _Relu(first.output, second.coefficients(), second.span())
        inner = memory.take(cotangent.shape, cotangent)
        for part in _parts(cotangent):
            sent = F.conv2d(cotangent[part].flatten(0, 1), kernel, padding=1).unflatten(0, (-1, B))
            relu.back(sent, part, constant, None, inner[part])

        # Stride 2: the four pixels that share a place of the smaller map stand as channels until the end.
        mean, _ = _Inputs([first.columns(self.inputs.relu())]).receive(inner, [[first]], total_BB)
        kernel = _by_phase(first.scaled())
        past = (self.shortcut.transpose(0, 1) / 4).repeat_interleave(4, 0)
        constant = F.conv2d(_field(-mean, inner), kernel, padding=1)
        span = F.pixel_unshuffle(first.span().unflatten(2, self.inputs.shape[1:]), 2).flatten(2)
        relu = _Relu(F.pixel_unshuffle(self.inputs, 2), first.coefficients(), span)
        result = memory.take((N, B, *self.inputs.shape[1:]), cotangent)
        for part in _parts(result):
            sent = F.conv2d(inner[part].flatten(0, 1), kernel, padding=1).unflatten(0, (-1, B))
            direct = F.conv2d(cotangent[part].flatten(0, 1), past).unflatten(0, (-1, B))
            relu.back(sent, part, constant, direct, direct)
            result[part] = F.pixel_shuffle(direct, 2)
        memory.give(cotangent)
        memory.give(inner)
        return result


def _by_phase(kernel: Tensor) -> Tensor:
    """The way back through a 3x3 convolution of stride 2 as one of stride 1, (C, Ci, 3, 3) to (4 Ci, C, 3, 3).

    Row 2y of the input met the window's middle row at y; row 2y + 1 its last row at y and its first at y + 1.
    """
    phases = kernel.new_zeros((*kernel.shape[:2], 2, 2, 3, 3))
    met: tuple[tuple[tuple[int, int], ...], ...] = (
        ((1, 1),),
        ((1, 2), (2, 0)),
    )  # (place in the new window, old row)
    for row, rows in enumerate(met):
        for column, columns in enumerate(met):
            for y, old_y in rows:
                for x, old_x in columns:
                    phases[:, :, row, column, y, x] = kernel[:, :, old_y, old_x]
    return phases.permute(1, 2, 3, 0, 4, 5).flatten(0, 2)


def _head(network: Network, values: Tensor, total_BB: Tensor, memory: Workspace) -> Tensor:
    """Classifier, pooling, ReLU and last normalisation: the cotangents (N, B, C, H, W) of their input."""
    N, C, H, W = values.shape
    norm = network.norm
    variance_C, mean_C = torch.var_mean(values, (0, 2, 3), correction=0)
    deviation_C = (variance_C + norm.eps).sqrt()
    xhat = (values - _over_pixels(mean_C)) / _over_pixels(deviation_C)
    outputs = xhat * _over_pixels(norm.weight) + _over_pixels(norm.bias)
    features_BC = outputs.relu().mean((2, 3))
    classes = len(network.classifier.weight)
    local = (outputs > 0) * _over_pixels(network.classifier.weight.sum(0) / (H * W))  # (B, C, H, W)
    scale_BC = (local * xhat).sum((2, 3))
    _add(total_BB, features_BC * classes**0.5, scale_BC)  # each class has the same gradient
    gain_C = norm.weight / deviation_C
    mean_BC = local.sum((2, 3)) / (N * H * W) * gain_C
    product_BC = scale_BC / (N * H * W) * gain_C
    cotangent = memory.take((N, N, C, H, W), values)
    torch.mul(xhat[:, None], -product_BC[:, :, None, None], out=cotangent)
    cotangent -= mean_BC[:, :, None, None]
    places = torch.arange(N, device=values.device)
    cotangent[places, places] += local * _over_pixels(gain_C)
    return cotangent


def _add(total_BB: Tensor, *blocks: Tensor) -> None:
    """Add J Jᵀ of some columns of J, in float64."""
    jacobian = torch.cat(blocks, 1).double()
    total_BB.addmm_(jacobian, jacobian.T)


def _over_pixels(values_C: Tensor) -> Tensor:
    return values_C.view(1, -1, 1, 1)


def _field(values_BC: Tensor, like: Tensor) -> Tensor:
    return values_BC[:, :, None, None].expand(-1, -1, *like.shape[-2:])


def _parts(cotangent: Tensor) -> Iterator[slice]:
    """Runs of images whose cotangents are worked on together."""
    target = _CUDA if cotangent.is_cuda else _CACHE
    step = max(1, round(target / cotangent[0].numel()))
    return (slice(start, start + step) for start in range(0, len(cotangent), step))
