"""Networks of cells with two inputs: the cell, the network around it, drop-path and the auxiliary head."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from nasgauge.harness.network.nb201 import Skeleton
from nasgauge.spaces.block_genotypes import Arms


class GenotypeCell(nn.Module):
    """One cell: two preprocessed inputs, nodes that are the sum of two operators, some of which are concatenated.

    `spared` says which operators drop-path leaves alone.

    >>> from nasgauge.harness.network.operators import operator
    >>> arms = (("skip_connect", 0), ("max_pool_3x3", 1))
    >>> operators = [operator(name, 4, 4) for name, _ in arms]
    >>> cell = GenotypeCell(arms, (2,), nn.Identity(), nn.Identity(), operators, spared=(True, False))
    >>> cell(torch.zeros(2, 4, 8, 8), torch.zeros(2, 4, 8, 8)).shape
    torch.Size([2, 4, 8, 8])
    """

    def __init__(
        self,
        arms: Arms,
        concat: tuple[int, ...],
        before: nn.Module,
        last: nn.Module,
        operators: Sequence[nn.Module],
        *,
        spared: Sequence[bool],
    ) -> None:
        super().__init__()
        self.before = before
        self.last = last
        self.operators = nn.ModuleList(operators)
        self.sources = tuple(source for _, source in arms)
        self.spared = tuple(spared)
        self.concat = concat

    def forward(self, before: Tensor, last: Tensor, keep: Tensor | None = None) -> Tensor:
        """Map the outputs of the two previous cells to that of this one, (B, concatenated nodes · channels, H, W).

        `keep` is the probability of keeping the output of an operator, a tensor without dimensions.
        """
        nodes = [self.before(before), self.last(last)]
        arms = self._arms(nodes, keep)
        for one in arms:
            nodes.append(one + next(arms))
        return torch.cat([nodes[node] for node in self.concat], 1)

    def _arms(self, nodes: Sequence[Tensor], keep: Tensor | None) -> Iterator[Tensor]:
        for apply, source, spared in zip(self.operators, self.sources, self.spared, strict=True):
            output: Tensor = apply(nodes[source])
            if keep is not None and not spared:
                mask = torch.bernoulli(keep.expand(len(output), 1, 1, 1)) / keep
                output = output * mask.to(output.dtype)
            yield output


class Twice(nn.Module):
    """A stem whose output is both inputs of the first cell."""

    def __init__(self, stem: nn.Module) -> None:
        super().__init__()
        self.stem = stem

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map images to the stem's output, twice."""
        output = self.stem(images)
        return output, output


class Parts(nn.Module):
    """A stem of two parts whose outputs are the inputs of the first cell."""

    def __init__(self, stem: nn.Sequential) -> None:
        super().__init__()
        self.stem = stem

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map images to the output of the first part and of the second."""
        larger = self.stem[0](images)
        return larger, self.stem[1](larger)


class CellNetwork(nn.Module):
    """Stem, cells, global average pooling, linear classifier, and in training an auxiliary head.

    Made by `pnas_network` and `darts_network` in `nasgauge.harness.network.evaluation`. Drop-path and dropout use PyTorch's
    default generator.
    """

    drop: Tensor

    def __init__(
        self,
        stem: nn.Module,
        body: Sequence[GenotypeCell],
        channels: int,
        skeleton: Skeleton,
        *,
        auxiliary: nn.Module | None,
        auxiliary_after: int,
        drop_path: Sequence[float],
        rectified: bool,
    ) -> None:
        super().__init__()
        self.stem = stem
        self.body = nn.ModuleList(body)
        self.auxiliary = auxiliary
        self.auxiliary_after = auxiliary_after
        self.relu = nn.ReLU() if rectified else nn.Identity()
        self.dropout = nn.Dropout(skeleton.dropout)
        self.classifier = nn.Linear(channels, skeleton.classes)
        self.drop_path = tuple(drop_path)
        """Final probability of dropping the output of an operator, for each cell."""
        self._final_drop: Tensor | None = None  # `drop_path` on the device, once it is known
        self.register_buffer("drop", torch.zeros(len(body)), persistent=False)

    def set_drop_path(self, share: float) -> None:
        """Set the probabilities of drop-path to a share of their final values, the share of the training that is done."""
        if not any(self.drop_path):
            return
        if self._final_drop is None:
            self._final_drop = torch.tensor(self.drop_path, device=self.drop.device)
        torch.mul(
            self._final_drop, share, out=self.drop
        )  # without a copy to the device, which would wait for it

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Map images (B, 3, H, W) to logits (B, classes).

        In train mode, a network with an auxiliary head returns logits and auxiliary logits.
        """
        before, last = self.stem(images)
        dropping = self.training and any(self.drop_path)
        extra: Tensor | None = None
        for place, cell in enumerate(self.body):
            before, last = last, cell(before, last, 1 - self.drop[place] if dropping else None)
            if self.training and self.auxiliary is not None and place == self.auxiliary_after:
                extra = self.auxiliary(last)
        logits: Tensor = self.classifier(self.dropout(self.relu(last).mean((2, 3))))
        return logits if extra is None else (logits, extra)
