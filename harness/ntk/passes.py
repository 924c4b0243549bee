"""The way back through a cell, a residual block and the head of a NAS-Bench-201 network."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.network import Network
from harness.network.nb201 import CellModule, ReLUConvBN, ResidualBlock
from harness.ntk.parts import Branch, Inputs, Relu, Workspace, add_block, everywhere, over_pixels, runs


class CellPass:
    """One cell: forward when made, then back."""

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
        """From the cotangents of the output to those of the input; adds to the kernel."""
        if 3 not in self.reached:
            return cotangent.zero_()
        cotangents, means = {3: cotangent}, dict[int, Tensor]()
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
                means[node], _ = Inputs(columns).receive(cotangents[node], arms, total_BB)
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
        B, C, H, W = cotangents[3].shape[1:]
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
            relu = Relu(self.nodes[node], coefficients, torch.cat([branch.span() for branch in branches], 1))
            zeros = like.new_zeros((B, C))
            shifts = [-means.get(end, zeros) for end in ends] + [zeros] * pooled
            constant = F.conv2d(everywhere(torch.cat(shifts, 1), like), merged[:C], padding=size // 2)
        result = memory.take(like.shape, like)
        for part in runs(like):
            inputs = [cotangents[end][part].flatten(0, 1) for end in ends]
            if pooled:
                into_windows = inputs[0] * shares[0]
                for more, share in zip(inputs[1:], shares[1:], strict=True):
                    into_windows.addcmul_(more, share)
                inputs.append(into_windows)
            sent = torch.unflatten(F.conv2d(torch.cat(inputs, 1), merged, padding=size // 2), 0, (-1, B))
            if branches:
                past = sent[:, :, C:] if len(kernels) == 2 else None
                relu.back(sent[:, :, :C], part, constant, past, result[part])
            else:
                result[part] = sent
        return result


class BlockPass:
    """One residual block: forward when made, then back."""

    def __init__(self, block: ResidualBlock, inputs: Tensor) -> None:
        self.inputs = inputs
        self.pooled = block.pool(inputs)
        self.shortcut = block.shortcut.weight
        self.first = Branch.of(inputs.relu(), block.first.conv, block.first.norm)
        self.second = Branch.of(self.first.output.relu(), block.second.conv, block.second.norm)
        self.output = self.second.output + F.conv2d(self.pooled, self.shortcut)

    def back(self, cotangent: Tensor, total_BB: Tensor, memory: Workspace) -> Tensor:
        """From the cotangents of the output to those of the input; adds to the kernel."""
        N, B = cotangent.shape[:2]
        middle, first, second = self.first.output.relu(), self.first, self.second
        inputs = Inputs([second.columns(middle)], [self.pooled.flatten(2).mT])
        mean, (shortcut,) = inputs.receive(cotangent, [[second]], total_BB)
        add_block(total_BB, shortcut.flatten(1))
        kernel = second.scaled().transpose(0, 1).flip(2, 3)
        constant = F.conv2d(everywhere(-mean, cotangent), kernel, padding=1)
        relu = Relu(first.output, second.coefficients(), second.span())
        inner = memory.take(cotangent.shape, cotangent)
        for part in runs(cotangent):
            sent = torch.unflatten(F.conv2d(cotangent[part].flatten(0, 1), kernel, padding=1), 0, (-1, B))
            relu.back(sent, part, constant, None, inner[part])

        # Stride 2: the four pixels that share a place of the smaller map stand as channels until the end.
        mean, _ = Inputs([first.columns(self.inputs.relu())]).receive(inner, [[first]], total_BB)
        kernel = _by_phase(first.scaled())
        past = (self.shortcut.transpose(0, 1) / 4).repeat_interleave(4, 0)
        constant = F.conv2d(everywhere(-mean, inner), kernel, padding=1)
        span = F.pixel_unshuffle(torch.unflatten(first.span(), 2, self.inputs.shape[1:]), 2).flatten(2)
        relu = Relu(F.pixel_unshuffle(self.inputs, 2), first.coefficients(), span)
        result = memory.take((N, B, *self.inputs.shape[1:]), cotangent)
        for part in runs(result):
            sent = torch.unflatten(F.conv2d(inner[part].flatten(0, 1), kernel, padding=1), 0, (-1, B))
            direct = torch.unflatten(F.conv2d(cotangent[part].flatten(0, 1), past), 0, (-1, B))
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


def head(network: Network, values: Tensor, total_BB: Tensor, memory: Workspace) -> Tensor:
    """Classifier, pooling, ReLU and last normalisation: the cotangents (N, B, C, H, W) of their input."""
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
