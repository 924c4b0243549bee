"""Forward and backward passes through a cell, a residual block and the head of a NAS-Bench-201 network."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasgauge.harness.network import Network
from nasgauge.harness.network.nb201 import CellModule, ReLUConvBN, ResidualBlock
from nasgauge.harness.ntk.parts import (
    Branch,
    Inputs,
    Leaving,
    Pool,
    Workspace,
    add_block,
    columns,
    everywhere,
    over_pixels,
    runs,
)


class CellPass:
    """A cell. The constructor runs the forward pass on inputs (N, C, H, W); `back` runs the backward pass.

    >>> cell = CellModule((("nor_conv_3x3", "skip_connect"),) * 6, channels=2)
    >>> images = torch.randn(4, 2, 5, 5)
    >>> torch.allclose(CellPass(cell, images).output, cell(images), atol=1e-5)
    True
    """

    def __init__(self, cell: CellModule, inputs: Tensor) -> None:
        self.nodes = [inputs]
        self.rectified = []
        self.branches: dict[tuple[int, int], list[Branch]] = {}
        self.skips: dict[tuple[int, int], float] = {}
        self.pools: dict[tuple[int, int], float] = {}
        self.reached = {0}
        for into in (1, 2, 3):
            self.rectified.append(self.nodes[-1].relu())
            total = torch.zeros_like(inputs)
            for source, share, operations in cell.into(into):
                total += self._edge(operations, share, (source, into))
                if source in self.reached:
                    self.reached.add(into)
            self.nodes.append(total)
        self.output = self.nodes[-1]

    def _edge(self, operations: Sequence[nn.Module], share: float, edge: tuple[int, int]) -> Tensor:
        source, total = edge[0], torch.zeros_like(self.nodes[0])
        for operation in operations:
            if isinstance(operation, ReLUConvBN):
                branch = Branch.of(self.rectified[source], operation.conv, operation.norm, share)
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
        """Map the cotangents of the output, (N, B, C, H, W), to those of the input, and add to the kernel.

        For each node, in reverse order, the loop completes the cotangent, multiplies it with the inputs of the branches
        into the node, and propagates it through these branches. It does so in slices of images that fit the cache.
        """
        if 3 not in self.reached:
            return cotangent.zero_()
        seen, pool = Inputs([self._columns(source) for source in range(3)]), Pool(cotangent)
        cotangents, constants = {3: cotangent}, dict[int, Tensor]()
        for node in (3, 2, 1, 0):
            ends = [end for end in cotangents if end > node and self._joined(node, end)]
            if node < 3 and not (node in self.reached and ends):
                continue
            if node not in cotangents:  # no branch leaves it
                cotangents[node] = memory.take(cotangent.shape, cotangent)
            leaving = self._leaving(node, ends, constants[node]) if node in constants else None
            targets = [s for s in range(node) if s in self.reached and (s, node) in self.branches]
            fresh = [target for target in targets if target not in cotangents]
            cotangents |= {target: memory.take(cotangent.shape, cotangent) for target in fresh}
            current, kernel = cotangents[node], self._fan(node, targets)
            sums = seen.sums(current, node)
            for part in runs(current):
                here = current[part]
                if node < 3:
                    here.zero_() if leaving is None else leaving.back_(here, part)
                    self._past(node, {end: cotangents[end][part] for end in ends}, pool, here)
                if targets:
                    seen.receive(sums, part, here)
                    sent = F.conv2d(here.flatten(0, 1), kernel, padding=kernel.shape[-1] // 2)
                    for target, its in zip(targets, sent.chunk(len(targets), 1), strict=True):
                        block = cotangents[target][part].flatten(0, 1)
                        block.copy_(its) if target in fresh else block.add_(its)
            if targets:
                mean_BC, products = seen.settle(sums, current)
                for source in targets:
                    for branch in self.branches[source, node]:
                        branch.gradients(products[source], seen.grams[source], total_BB)
                shift = F.conv2d(everywhere(-mean_BC, current), kernel, padding=kernel.shape[-1] // 2)
                for target, its in zip(targets, shift.chunk(len(targets), 1), strict=True):
                    constants[target] = constants[target] + its if target in constants else its
        for node in cotangents:
            if node:
                memory.give(cotangents[node])
        return cotangents[0]

    def _joined(self, source: int, into: int) -> bool:
        edge = (source, into)
        return edge in self.branches or edge in self.skips or edge in self.pools

    def _columns(self, source: int) -> Tensor:
        arms = [arm for (start, _), arm in self.branches.items() if start == source]
        if source not in self.reached or not arms:
            return self.nodes[0].flatten(2)[:, :0]
        return columns(self.rectified[source], max(branch.kernel.shape[-1] for arm in arms for branch in arm))

    def _fan(self, node: int, targets: Sequence[int]) -> Tensor:
        """The convolution kernel of the backward pass from a node to all its source nodes at once."""
        arms = [self.branches[target, node] for target in targets]
        size = max((branch.kernel.shape[-1] for arm in arms for branch in arm), default=1)
        C = self.nodes[0].shape[1]
        kernel = self.nodes[0].new_zeros((len(arms), C, C, size, size))
        for place, arm in enumerate(arms):
            for branch in arm:
                width = branch.kernel.shape[-1]
                middle = slice(size // 2 - width // 2, size // 2 + width // 2 + 1)
                kernel[place, :, :, middle, middle] += branch.scaled().transpose(0, 1).flip(2, 3)
        return kernel.flatten(0, 1)

    def _leaving(self, node: int, ends: Sequence[int], constant: Tensor) -> Leaving:
        branches = [branch for end in ends for branch in self.branches.get((node, end), ())]
        return Leaving(self.nodes[node], branches, constant)

    def _past(self, node: int, ends: dict[int, Tensor], pool: Pool, out: Tensor) -> None:
        """Add the backward pass through skip connections and average pools to `out`."""
        pooled = [(its, self.pools[node, end]) for end, its in ends.items() if (node, end) in self.pools]
        if pooled:
            pool.back_(pooled, out)
        for end, its in ends.items():
            if (node, end) in self.skips:
                out.add_(its, alpha=self.skips[node, end])


class BlockPass:
    """A residual block. The constructor runs the forward pass on inputs (N, C, H, W); `back` runs the backward pass.

    >>> block, images = ResidualBlock(2, 4), torch.randn(4, 2, 6, 6)
    >>> torch.allclose(BlockPass(block, images).output, block(images), atol=1e-5)
    True
    """

    def __init__(self, block: ResidualBlock, inputs: Tensor) -> None:
        self.inputs = inputs
        self.pooled = block.pool(inputs)
        self.shortcut = block.shortcut.weight
        self.first = Branch.of(inputs.relu(), block.first.conv, block.first.norm)
        self.second = Branch.of(self.first.output.relu(), block.second.conv, block.second.norm)
        self.output = self.second.output + F.conv2d(self.pooled, self.shortcut)

    def back(self, cotangent: Tensor, total_BB: Tensor, memory: Workspace) -> Tensor:
        """Map the cotangents of the output, (N, B, 2 C, H / 2, W / 2), to those of the input, and add to the kernel."""
        N, B = cotangent.shape[:2]
        middle, first, second = self.first.output.relu(), self.first, self.second
        kernel = second.scaled().transpose(0, 1).flip(2, 3)
        seen = Inputs([columns(middle, 3)], [self.pooled.flatten(2)])
        sums = seen.sums(cotangent, 2)
        inner = memory.take(cotangent.shape, cotangent)
        for part in runs(cotangent):
            seen.receive(sums, part, cotangent[part])
            inner[part] = _convolved(cotangent[part], kernel, 1)
        mean_BC, (products, shortcut) = seen.settle(sums, cotangent)
        add_block(total_BB, shortcut.flatten(1))
        second.gradients(products, seen.grams[0], total_BB)
        constant = F.conv2d(everywhere(-mean_BC, cotangent), kernel, padding=1)
        leaving = Leaving(first.output, [second], constant)
        seen = Inputs([columns(self.inputs.relu(), 3, stride=2)])
        sums = seen.sums(inner, 1)
        for part in runs(inner):
            leaving.back_(inner[part], part)
            seen.receive(sums, part, inner[part])
        mean_BC, (products,) = seen.settle(sums, inner)
        first.gradients(products, seen.grams[0], total_BB)

        # Stride 2: the four pixels of each 2x2 window are stored as channels until the end.
        kernel = _by_phase(first.scaled())
        past = (self.shortcut.transpose(0, 1) / 4).repeat_interleave(4, 0)
        constant = F.conv2d(everywhere(-mean_BC, inner), kernel, padding=1)
        leaving = Leaving(self.inputs, [first], constant, fold=2)
        result = memory.take((N, B, *self.inputs.shape[1:]), cotangent)
        for part in runs(result):
            sent = _convolved(inner[part], kernel, 1)
            leaving.back_(sent, part)
            sent += _convolved(cotangent[part], past, 0)
            result[part] = F.pixel_shuffle(sent, 2)
        memory.give(cotangent)
        memory.give(inner)
        return result


def _convolved(cotangent: Tensor, kernel: Tensor, padding: int) -> Tensor:
    """Map (n, B, C, H, W) to (n, B, output channels of the kernel, H, W)."""
    return torch.unflatten(F.conv2d(cotangent.flatten(0, 1), kernel, padding=padding), 0, cotangent.shape[:2])


def _by_phase(kernel: Tensor) -> Tensor:
    """The kernel of stride 1 that transposes a 3x3 convolution of stride 2: (C, Ci, 3, 3) to (4 Ci, C, 3, 3).

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
    return phases.permute(1, 2, 3, 0, 4, 5).flatten(0, 2)


def head(network: Network, values: Tensor, total_BB: Tensor, memory: Workspace) -> Tensor:
    """Backward pass through classifier, pooling, ReLU and last normalisation, adding to the kernel.

    Maps the input of the last normalisation, `values` (N, C, H, W), to its cotangents (N, B, C, H, W).

    >>> from nasgauge.harness.network import Skeleton
    >>> network = Network((("skip_connect",),) * 6, Skeleton(channels=2, cells=1, stages=1))
    >>> kernel_BB = torch.zeros(4, 4, dtype=torch.float64)
    >>> with torch.no_grad():
    ...     head(network, torch.randn(4, 2, 6, 6), kernel_BB, Workspace()).shape
    torch.Size([4, 4, 2, 6, 6])
    """
    N, C, H, W = values.shape
    norm = network.norm
    variance_C, mean_C = torch.var_mean(values, (0, 2, 3), correction=0)
    deviation_C = (variance_C + norm.eps).sqrt()
    xhat = (values - over_pixels(mean_C)) / over_pixels(deviation_C)
    outputs = xhat * over_pixels(norm.weight) + over_pixels(norm.bias)
    features_BC = outputs.relu().mean((2, 3))
    classes = len(network.classifier.weight)
    local = (outputs > 0) * over_pixels(network.classifier.weight.sum(0) / (H * W))  # (B, C, H, W)
    scale_BC = (local * xhat).sum((2, 3))
    add_block(total_BB, features_BC * classes**0.5, scale_BC)  # each class has the same gradient
    gain_C = norm.weight / deviation_C
    mean_BC = local.sum((2, 3)) / (N * H * W) * gain_C
    product_BC = scale_BC / (N * H * W) * gain_C
    cotangent = memory.take((N, N, C, H, W), values)
    torch.mul(xhat[:, None], -product_BC[:, :, None, None], out=cotangent)
    cotangent -= mean_BC[:, :, None, None]
    places = torch.arange(N, device=values.device)
    cotangent[places, places] += local * over_pixels(gain_C)
    return cotangent
