"""The networks that PNAS and TE-NAS train in the end, for CIFAR and for ImageNet.

Both are a stem, three stages of cells whose channels double and whose sides halve, and a linear classifier. They differ
in details, which follow the public code of the authors:

- PNAS (Liu et al., 2018, section 3.1; chenxi116/PNASNet.TF and TensorFlow's slim). All cells are alike; the first cell of
  the second and third stage has stride 2. The older input of a cell is a factorised reduction where it is larger, a 1x1
  convolution where only its channels differ, and otherwise untouched, also in the first cell. On ImageNet the stem is a
  convolution of stride 2 without padding and two cells of stride 2 with a quarter and half of the channels, rounded down.
- DARTS (Liu et al., 2019; quark0/darts), which TE-NAS uses. Reduction cells stand between the stages. Both inputs of a
  cell are always projected. On ImageNet the stem has three convolutions of stride 2.
"""

from collections.abc import Sequence

import torch
from torch import nn

from nasgauge.harness.network.cell_networks import CellNetwork, GenotypeCell, Parts, Twice
from nasgauge.harness.network.initialise import initialise
from nasgauge.harness.network.nb201 import (
    InvalidChoices,
    ReLUConvBN,
    Skeleton,
    Stem,
    build,
    choices_of,
    imagenet_stem,
)
from nasgauge.harness.network.operators import Halve, operator
from nasgauge.spaces.architectures import Architecture
from nasgauge.spaces.block_cells import BlockCell
from nasgauge.spaces.block_genotypes import Genotype
from nasgauge.spaces.cells import Cell

_STEM_WIDTH = 3
"""Channels of the stem on CIFAR, as a multiple of the channels of the first stage."""
_PNAS_EPSILON = 1e-3
"""Of batch normalisation on ImageNet."""


def build_network(
    architecture: Architecture,
    skeleton: Skeleton,
    generator: torch.Generator,
    initialisation: str = "default",
) -> nn.Module:
    """The network of an architecture, in train mode, on the CPU, with weights drawn from `generator`.

    A cell of NAS-Bench-201 gets the benchmark's network, a cell of the PNAS space and a genotype the networks of this
    module.

    Raises InvalidChoices, UnknownInitialisation.

    >>> from nasgauge.spaces.architectures import PUBLISHED
    >>> small = Skeleton(channels=4, cells=1)
    >>> network = build_network(PUBLISHED["darts-v2"], small, torch.Generator().manual_seed(0))
    >>> network(torch.zeros(2, 3, 8, 8)).shape
    torch.Size([2, 10])
    """
    if isinstance(architecture, Cell):
        return build(choices_of(architecture), skeleton, generator, initialisation=initialisation)
    with torch.device("meta"):
        network = network_of(architecture, skeleton)
    network.to_empty(device="cpu")
    network.set_drop_path(0.0)
    initialise(network, initialisation, generator)
    return network.train()


def network_of(architecture: BlockCell | Genotype, skeleton: Skeleton) -> CellNetwork:
    """The network of a cell of the PNAS space, or of a genotype."""
    if isinstance(architecture, BlockCell):
        return pnas_network(architecture, skeleton)
    return darts_network(architecture, skeleton)


def pnas_network(cell: BlockCell, skeleton: Skeleton) -> CellNetwork:
    """The network of a cell of the PNAS space; `skeleton.cells` is the paper's N, `skeleton.channels` its F.

    >>> network = pnas_network(BlockCell.parse("identity(h1)+max_pool_3x3(h2)"), Skeleton(channels=4, cells=1))
    >>> network(torch.zeros(2, 3, 8, 8)).shape
    torch.Size([2, 10])
    """
    photographs, channels = skeleton.photographs, skeleton.channels
    plan = [(channels // 4, True), (channels // 2, True)] if photographs else []
    plan += [
        (channels * 2**stage, stage > 0 and place == 0)
        for stage in range(skeleton.stages)
        for place in range(skeleton.cells)
    ]
    width = skeleton.stem_channels if photographs else _STEM_WIDTH * channels
    stem = (
        nn.Sequential(nn.Conv2d(3, width, 3, 2, bias=False), nn.BatchNorm2d(width))
        if photographs
        else Stem(3, width)
    )
    genotype = Genotype.of(cell)
    body, widths = _cells(genotype, plan, (width, width), late=False, untouched=True)
    after = len(plan) - skeleton.cells - 1
    side = (skeleton.side - 1) // 2 if photographs else skeleton.side
    return _finished(
        CellNetwork(
            Twice(stem),
            body,
            widths[-1],
            skeleton,
            auxiliary=_auxiliary(skeleton, widths[after], _side(side, plan, after), stride=3),
            auxiliary_after=after,
            drop_path=[skeleton.drop_path * (place + 1) / len(plan) for place in range(len(plan))],
            rectified=True,
        ),
        skeleton,
        epsilon=_PNAS_EPSILON if photographs else None,
    )


def darts_network(genotype: Genotype, skeleton: Skeleton) -> CellNetwork:
    """The network of a genotype. `skeleton.cells` counts the normal cells of a stage: 6 are the 20 cells of the CIFAR
    network, 4 the 14 of the ImageNet network.

    >>> arms = (("sep_conv_3x3", 0), ("skip_connect", 1)) * 4
    >>> network = darts_network(Genotype(arms, arms), Skeleton(channels=4, cells=1, side=64))
    >>> len(network.body), network(torch.zeros(2, 3, 64, 64)).shape
    (5, torch.Size([2, 10]))
    """
    photographs, channels = skeleton.photographs, skeleton.channels
    plan = [
        (channels * 2**stage, place == 0)
        for stage in range(skeleton.stages)
        for place in range(0 if stage else 1, skeleton.cells + 1)
    ]
    width = channels if photographs else _STEM_WIDTH * channels
    stem = Parts(imagenet_stem(channels)) if photographs else Twice(Stem(3, width))
    body, widths = _cells(genotype, plan, (width, width), late=photographs, untouched=False)
    after = len(plan) - skeleton.cells - 1
    side = _side(-(-skeleton.side // 8) if photographs else skeleton.side, plan, after)
    stride = 2 if photographs else 3
    return _finished(
        CellNetwork(
            stem,
            body,
            widths[-1],
            skeleton,
            auxiliary=_auxiliary(skeleton, widths[after], side, stride=stride, last_norm=not photographs),
            auxiliary_after=after,
            drop_path=[skeleton.drop_path] * len(plan),
            rectified=False,
        ),
        skeleton,
    )


def _cells(
    genotype: Genotype,
    plan: Sequence[tuple[int, bool]],
    inputs: tuple[int, int],
    *,
    late: bool,
    untouched: bool,
) -> tuple[list[GenotypeCell], list[int]]:
    """The cells of a plan of channels and whether the cell halves the sides, and the channels of their outputs.

    `inputs` are the channels of the inputs of the first cell. `late` says that the older one is twice as high and wide.
    With `untouched`, as in PNAS, an older input that fits is not projected, and the first of all never is.
    """
    before, last = inputs
    cells, widths = [], []
    for place, (channels, halves) in enumerate(plan):
        alone = untouched and (place == 0 or (before == channels and not late))
        arms, concat = (
            (genotype.reduce, genotype.reduce_concat) if halves else (genotype.normal, genotype.normal_concat)
        )
        operators = [
            operator(
                name,
                before if alone and source == 0 else channels,
                channels,
                2 if halves and source < 2 else 1,
                halve=not untouched,
            )
            for name, source in arms
        ]
        spared = [
            name == "skip_connect" if untouched else isinstance(module, nn.Identity)
            for (name, _), module in zip(arms, operators, strict=True)
        ]
        older = Halve(before, channels) if late else ReLUConvBN(before, channels, 1)
        newer = ReLUConvBN(last, channels, 1)
        cells.append(
            GenotypeCell(arms, concat, nn.Identity() if alone else older, newer, operators, spared=spared)
        )
        before, last, late = last, len(concat) * channels, halves
        widths.append(last)
    return cells, widths


def _side(after_stem: int, plan: Sequence[tuple[int, bool]], place: int) -> int:
    """The side of the output of a cell, pixels."""
    halvings = sum(halves for _, halves in plan[: place + 1])
    return -(-after_stem >> halvings)


def _auxiliary(
    skeleton: Skeleton, channels: int, side: int, *, stride: int, last_norm: bool = True
) -> nn.Module | None:
    """The auxiliary classifier; that of DARTS on ImageNet lacks the last normalisation, as in its experiments."""
    if not skeleton.auxiliary:
        return None
    if side < 5:
        raise InvalidChoices(
            f"the auxiliary head needs maps of 5 pixels, not {side}; give larger images than {skeleton.side} pixels"
        )
    return nn.Sequential(
        nn.ReLU(),
        nn.AvgPool2d(5, stride),
        nn.Conv2d(channels, 128, 1, bias=False),
        nn.BatchNorm2d(128),
        nn.ReLU(),
        nn.Conv2d(128, 768, (side - 5) // stride + 1, bias=False),
        nn.BatchNorm2d(768) if last_norm else nn.Identity(),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(768, skeleton.classes),
    )


def _finished(network: CellNetwork, skeleton: Skeleton, epsilon: float | None = None) -> CellNetwork:
    """The network with the settings of its batch normalisations."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = skeleton.norm_momentum
            module.eps = epsilon or module.eps
    return network
