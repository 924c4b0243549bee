"""Forward and backward passes through a cell, a residual block and the head of a NAS-Bench-201 network."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasgauge.harness.network import Network
from nasgauge.harness.network.nb201 import CellModule, ReLUConvBN, ResidualBlock
from nasgauge.harness.ntk.parts import (
    Arm,
    Branch,
    Inputs,
    Leaving,
    Pool,
    Workspace,
    add_block,
    by_phase,
    everywhere,
    over_pixels,
    runs,
)


class CellPass:
    """A cell. The constructor runs the forward pass on inputs (N, C, H, W); `back` runs the backward pass.

    >>> cell = CellModule((("nor_conv_3x3", "skip_connect"),) * 6, channels=2)
    >>> images = torch.randn(4, 2, 5, 5)
    >>> torch.allclose(CellPass(cell, images, Workspace()).output, cell(images), atol=1e-5)
    True
    """

    def __init__(self, cell: CellModule, inputs: Tensor, memory: Workspace) -> None:
        self.branches: dict[tuple[int, int], list[Branch]] = {}
        self.skips: dict[tuple[int, int], float] = {}
        self.pools: dict[tuple[int, int], float] = {}
        arms: dict[int, list[tuple[int, Arm]]] = {}  # by source, with the node that they lead to
        self.reached = {0}
        for into in (1, 2, 3):
            for source, share, operations in cell.into(into):
                for operation in operations:
                    if isinstance(operation, ReLUConvBN):
                        arms.setdefault(source, []).append((into, (operation.conv, operation.norm, share)))
                    elif isinstance(operation, nn.AvgPool2d):
                        self.pools[source, into] = share
                    else:
                        self.skips[source, into] = share
                if source in self.reached:
                    self.reached.add(into)
        C, *size = inputs.shape[1:]
        windows = [
            max((arm[0].kernel_size[0] for _, arm in arms.get(source, ())), default=0) for source in range(3)
        ]
        self.seen = Inputs(inputs, [C * window**2 for window in windows], size, memory)
        self.pool = Pool(inputs)
        self.nodes = [inputs, *(torch.zeros_like(inputs) for _ in range(3))]
        for source, value in enumerate(self.nodes[:3]):
            if source in arms:
                self.seen.fill(source, value.relu())
                leaving = self.seen.branches(source, [arm for _, arm in arms[source]])
                for (into, _), branch in zip(arms[source], leaving, strict=True):
                    self.branches.setdefault((source, into), []).append(branch)
                    self.nodes[into] += branch.output()
            pooled = self.pool.forward(value) if any(start == source for start, _ in self.pools) else value
            for into in range(source + 1, 4):
                if (source, into) in self.pools:
                    self.nodes[into].add_(pooled, alpha=self.pools[source, into])
                if (source, into) in self.skips:
                    self.nodes[into].add_(value, alpha=self.skips[source, into])
        self.output = self.nodes[3]

    def back(self, cotangent: Tensor, total_BB: Tensor, memory: Workspace) -> Tensor:
        """Map the cotangents of the output, (N, B, C, H, W), to those of the input, and add to the kernel.

        For each node, in reverse order, the loop completes the cotangent, multiplies it with the inputs of the branches
        into the node, and propagates it through these branches. It does so in slices of images that fit the cache.
        """
        seen, pool = self.seen, self.pool
        if 3 not in self.reached:
            memory.give(seen.rows_NKP)
            return cotangent.zero_()
        cotangents, constants = {3: cotangent}, dict[int, Tensor]()
        for node in (3, 2, 1, 0):
            ends = [end for end in cotangents if end > node and self._joined(node, end)]
            if node < 3 and not (node in self.reached and ends):
                continue
            if node not in cotangents:  # no branch leaves it
                cotangents[node] = memory.take(cotangent.shape, cotangent)
            leaving = self._leaving(node, ends, constants[node], memory) if node in constants else None
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
            if leaving is not None:
                memory.give(leaving.span_NKP)
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
        memory.give(seen.rows_NKP)
        return cotangents[0]

    def _joined(self, source: int, into: int) -> bool:
        edge = (source, into)
        return edge in self.branches or edge in self.skips or edge in self.pools

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

    def _leaving(self, node: int, ends: Sequence[int], constant: Tensor, memory: Workspace) -> Leaving:
        branches = [branch for end in ends for branch in self.branches.get((node, end), ())]
        return Leaving(self.nodes[node], branches, constant, memory)

    def _past(self, node: int, ends: dict[int, Tensor], pool: Pool, out: Tensor) -> None:
        """Add the backward pass through skip connections and average pools to `out`."""
        pools = {end: self.pools[node, end] for end in ends if (node, end) in self.pools}
        skips = {end: self.skips[node, end] for end in ends if (node, end) in self.skips}
        pooled = _weighted(ends, pools) if pools else None
        if pooled is not None and skips == pools:
            out += pooled
        else:
            for end, share in skips.items():
                out.add_(ends[end], alpha=share)
        if pooled is not None:
            pool.back_(pooled, out)


def _weighted(cotangents: dict[int, Tensor], shares: dict[int, float]) -> Tensor:
    (first, share), *others = shares.items()
    total = cotangents[first] * share
    for end, share in others:
        total.add_(cotangents[end], alpha=share)
    return total


class BlockPass:
    """A residual block. The constructor runs the forward pass on inputs (N, C, H, W); `back` runs the backward pass.

    >>> block, images = ResidualBlock(2, 4), torch.randn(4, 2, 6, 6)
    >>> torch.allclose(BlockPass(block, images, Workspace()).output, block(images), atol=1e-5)
    True
    """

    def __init__(self, block: ResidualBlock, inputs: Tensor, memory: Workspace) -> None:
        self.inputs = inputs
        pooled = block.pool(inputs)
        self.shortcut = block.shortcut.weight
        C, size = inputs.shape[1], pooled.shape[2:]
        self.outer = Inputs(inputs, [9 * C], size, memory)
        self.outer.fill(0, inputs.relu(), stride=2)
        (self.first,) = self.outer.branches(0, [(block.first.conv, block.first.norm, 1.0)])
        self.middle = self.first.output()
        self.inner = Inputs(inputs, [9 * self.middle.shape[1], C], size, memory)
        self.inner.fill(0, self.middle.relu())
        self.inner.fill(1, pooled)
        (self.second,) = self.inner.branches(0, [(block.second.conv, block.second.norm, 1.0)])
        self.output = self.second.output() + F.conv2d(pooled, self.shortcut)

    def back(self, cotangent: Tensor, total_BB: Tensor, memory: Workspace) -> Tensor:
        """Map the cotangents of the output, (N, B, 2 C, H / 2, W / 2), to those of the input, and add to the kernel."""
        N, B = cotangent.shape[:2]
        first, second, seen = self.first, self.second, self.inner
        kernel = second.scaled().transpose(0, 1).flip(2, 3)
        sums = seen.sums(cotangent, 2)
        inner = memory.take(cotangent.shape, cotangent)
        for part in runs(cotangent):
            seen.receive(sums, part, cotangent[part])
            inner[part] = _convolved(cotangent[part], kernel, 1)
        mean_BC, (products, shortcut) = seen.settle(sums, cotangent)
        add_block(total_BB, shortcut.flatten(1))
        second.gradients(products, seen.grams[0], total_BB)
        constant = F.conv2d(everywhere(-mean_BC, cotangent), kernel, padding=1)
        leaving = Leaving(self.middle, [second], constant, memory)
        memory.give(seen.rows_NKP)
        seen = self.outer
        sums = seen.sums(inner, 1)
        for part in runs(inner):
            leaving.back_(inner[part], part)
            seen.receive(sums, part, inner[part])
        mean_BC, (products,) = seen.settle(sums, inner)
        first.gradients(products, seen.grams[0], total_BB)

        # Stride 2: the four pixels of each 2x2 window are stored as channels until the end.
        kernel = by_phase(first.scaled()).transpose(0, 1)
        past = (self.shortcut.transpose(0, 1) / 4).repeat_interleave(4, 0)
        constant = F.conv2d(everywhere(-mean_BC, inner), kernel, padding=1)
        memory.give(leaving.span_NKP)
        memory.give(seen.rows_NKP)
        leaving = Leaving(self.inputs, [first], constant, memory, fold=2)
        result = memory.take((N, B, *self.inputs.shape[1:]), cotangent)
        for part in runs(result):
            sent = _convolved(inner[part], kernel, 1)
            leaving.back_(sent, part)
            sent += _convolved(cotangent[part], past, 0)
            result[part] = F.pixel_shuffle(sent, 2)
        memory.give(leaving.span_NKP)
        memory.give(cotangent)
        memory.give(inner)
        return result


def _convolved(cotangent: Tensor, kernel: Tensor, padding: int) -> Tensor:
    """Map (n, B, C, H, W) to (n, B, output channels of the kernel, H, W)."""
    return torch.unflatten(F.conv2d(cotangent.flatten(0, 1), kernel, padding=padding), 0, cotangent.shape[:2])


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
