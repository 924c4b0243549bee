"""The final networks of the papers: parameters, multiply-adds, outputs, auxiliary heads, drop-path."""

import re
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from nasgauge.harness.network import (
    CellNetwork,
    InvalidChoices,
    Skeleton,
    build_network,
    flops,
    freeze_unused,
    initialise,
    network_of,
    parameters,
)
from nasgauge.harness.network.operators import operator
from nasgauge.harness.records.recipes import RECIPES
from nasgauge.harness.training.pools import convolve_pools
from nasgauge.harness.training.units import skeleton_of
from nasgauge.spaces.architectures import PUBLISHED, architecture
from nasgauge.spaces.block_cells import BlockCell
from nasgauge.spaces.block_genotypes import Genotype
from nasgauge.spaces.cells import Cell

CIFAR, MOBILE, LARGE = (10, 32), (1000, 224), (1000, 331)


def published(name: str, recipe: str, size: tuple[int, int], *, auxiliary: bool = False) -> CellNetwork:
    """A published network without weights."""
    skeleton = replace(skeleton_of(RECIPES[recipe], *size), auxiliary=auxiliary)
    with torch.device("meta"):
        return network_of(PUBLISHED[name], skeleton)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize(
    ("name", "recipe", "size", "weights", "millions"),
    [
        ("pnasnet5", "pnas-cifar", CIFAR, 3_189_082, 575),
        ("pnasnet5", "pnas-mobile", MOBILE, 5_064_487, 587.3),
        ("pnasnet5", "pnas-large", LARGE, 86_057_668, 24_940),
        ("darts-v2", "tenas-cifar", CIFAR, 3_349_342, 528.4),
        ("darts-v2", "tenas-imagenet", MOBILE, 4_718_752, 529.9),
        ("tenas-imagenet", "tenas-imagenet", MOBILE, 5_420_416, 590),
        ("tenas-imagenet", "tenas-cifar", CIFAR, 3_779_398, 580),
        ("tenas-cifar10", "tenas-cifar", CIFAR, 4_137_526, 638),
        ("tenas-cifar10", "tenas-imagenet", MOBILE, 5_868_640, 641.4),
        ("pc-darts-cifar10", "tenas-cifar", CIFAR, 3_634_678, 556.7),
        ("pc-darts-imagenet", "tenas-imagenet", MOBILE, 5_342_464, 581.6),
    ],
)
def test_networks_have_the_published_sizes(
    name: str, recipe: str, size: tuple[int, int], weights: int, millions: float
) -> None:
    network = published(name, recipe, size)
    assert parameters(network) == weights
    assert flops(network, (3, size[1], size[1])) / 1e6 == pytest.approx(millions, rel=1e-3)


def test_tenas_on_imagenet_with_50_channels() -> None:
    with torch.device("meta"):
        network = network_of(
            PUBLISHED["tenas-cifar10"], Skeleton(channels=50, cells=4, classes=1000, side=224)
        )
    assert parameters(network) == 6_317_575


def test_the_stem_cells_of_pnas_mobile_round_down() -> None:
    network = published("pnasnet5", "pnas-mobile", MOBILE)
    widths = [cell.get_submodule("last").get_parameter("norm.weight").numel() for cell in network.body]
    assert widths == [13, 27, 54, 54, 54, 108, 108, 108, 216, 216, 216]
    halving = network.body[1].get_submodule("before")
    assert [halving.get_parameter(f"{half}.weight").shape[0] for half in ("even", "odd")] == [13, 14]


@pytest.mark.parametrize(
    ("name", "recipe", "size"),
    [
        ("pnasnet5", "pnas-cifar", CIFAR),
        ("pnasnet5", "pnas-mobile", MOBILE),
        ("pnasnet5", "pnas-large", LARGE),
        ("tenas-cifar10", "tenas-cifar", CIFAR),
        ("tenas-imagenet", "tenas-imagenet", MOBILE),
    ],
)
def test_an_auxiliary_head_answers_in_training_only(name: str, recipe: str, size: tuple[int, int]) -> None:
    network = published(name, recipe, size, auxiliary=True)
    images = torch.zeros(2, 3, size[1], size[1], device="meta")
    logits, extra = network(images)
    assert logits.shape == extra.shape == (2, size[0])
    assert network.eval()(images).shape == (2, size[0])


def test_an_auxiliary_head_needs_large_enough_images() -> None:
    genotype = PUBLISHED["darts-v2"]
    with pytest.raises(InvalidChoices, match="needs maps of 5 pixels, not 4; give larger images than 16"):
        build_network(genotype, Skeleton(channels=4, cells=1, side=16, auxiliary=True), seeded())


def test_drop_path_grows_with_the_training_and_in_pnas_with_depth() -> None:
    size = {"channels": 4, "cells": 1, "drop_path": 0.5}
    for name, finals in (("pnasnet5", [0.5 / 3, 1 / 3, 0.5]), ("darts-v2", [0.5] * 5)):
        network = build_network(PUBLISHED[name], Skeleton(**size), seeded())  # type: ignore[arg-type]  # of mixed types
        assert isinstance(network, CellNetwork)
        assert network.drop.tolist() == [0.0] * len(finals)
        assert not [key for key in network.state_dict() if "drop" in key]
        network.set_drop_path(0.5)
        assert network.drop.tolist() == pytest.approx([final / 2 for final in finals])


def test_drop_path_spares_identities_and_keeps_the_mean() -> None:
    """Each image of a node loses its 3x3 pool, or has it doubled; the identity stays."""
    arms = (("skip_connect", 0), ("max_pool_3x3", 1)) * 4
    network = build_network(Genotype(arms, arms), Skeleton(channels=4, cells=1, drop_path=0.5), seeded())
    assert isinstance(network, CellNetwork)
    cell = network.body[0]
    older, newer = (
        torch.randn(400, 12, 4, 4, generator=seeded()),
        torch.rand(400, 12, 4, 4, generator=seeded()),
    )
    skipped, pooled = cell.before(older), cell.operators[1](cell.last(newer))  # type: ignore[operator, index]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        output = cell(older, newer, torch.tensor(0.5))[:, :4]
    doubled = torch.isclose(output, skipped + 2 * pooled, atol=1e-5).flatten(1).all(1)
    lost = torch.isclose(output, skipped, atol=1e-5).flatten(1).all(1)
    assert (doubled ^ lost).all()
    assert 150 < doubled.sum() < 250


def test_dropout_precedes_the_classifier() -> None:
    network = build_network(PUBLISHED["pnasnet5"], Skeleton(channels=4, cells=1, dropout=0.5), seeded())
    images = torch.randn(2, 3, 16, 16, generator=seeded())
    with torch.random.fork_rng():
        assert not torch.equal(network(images), network(images))
    network.eval()
    assert torch.equal(network(images), network(images))


def test_an_older_input_that_fits_is_left_alone() -> None:
    """PNAS projects it where its channels or sides differ, and never in the first cell."""
    network = published("pnasnet5", "pnas-cifar", CIFAR)
    kinds = [type(cell.get_submodule("before")).__name__ for cell in network.body]
    assert kinds == [
        "Identity",
        "ReLUConvBN",
        "ReLUConvBN",
        "ReLUConvBN",
        "Halve",
        *["ReLUConvBN"] * 2,
        "Halve",
        "ReLUConvBN",
    ]
    alone = BlockCell.parse("sep_conv_3x3(h1)+max_pool_3x3(h2)")
    with torch.device("meta"):
        narrow = network_of(alone, Skeleton(channels=4, cells=3))
    kinds = [type(cell.get_submodule("before")).__name__ for cell in narrow.body]
    assert kinds == [
        "Identity",
        "ReLUConvBN",
        "Identity",
        "ReLUConvBN",
        "Halve",
        "Identity",
        "ReLUConvBN",
        "Halve",
        "Identity",
    ]


def test_batch_normalisation_is_that_of_the_recipe() -> None:
    for recipe, size, epsilon, momentum in (
        ("pnas-cifar", CIFAR, 1e-5, 0.1),
        ("pnas-large", LARGE, 1e-3, 3e-4),
    ):
        network = published("pnasnet5", recipe, size)
        norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
        assert {(norm.eps, norm.momentum) for norm in norms} == {(epsilon, momentum)}


@pytest.mark.parametrize(("side", "stages"), [(224, [28, 14, 7]), (176, [22, 11, 6])])
def test_a_cell_of_nas_bench_201_on_photographs(side: int, stages: list[int]) -> None:
    """Sides are an eighth in the first stage, and halve; odd ones are rounded up."""
    cell = architecture(
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"
    )
    network = build_network(cell, Skeleton(channels=8, cells=1, classes=1000, side=side), seeded())
    sides = []
    for module in network.get_submodule("body"):  # type: ignore[attr-defined]  # a list of modules
        module.register_forward_hook(lambda _module, _inputs, output: sides.append(output.shape[2]))
    assert network(torch.zeros(2, 3, side, side)).shape == (2, 1000)
    assert sides[::2] == stages


def test_the_network_of_nas_bench_201_has_no_head_or_drop_path() -> None:
    cell = Cell(("skip_connect",) * 6)
    with pytest.raises(InvalidChoices, match="has no auxiliary head, drop-path or dropout; choose a recipe"):
        build_network(cell, skeleton_of(RECIPES["tenas-cifar"], 10, 32), seeded())


@pytest.mark.parametrize(
    ("text", "some"),
    [
        ("pnasnet5", False),
        ("tenas-cifar10", False),
        ("nasnet-a", False),
        ("|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|none~1|nor_conv_1x1~2|", False),
        ("|nor_conv_1x1~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|", True),
        ("identity(h1)+identity(h1)", True),
    ],
)
def test_what_gets_no_gradient_is_frozen_and_nothing_else(text: str, some: bool) -> None:
    skeleton = Skeleton(channels=4, cells=2, classes=10, side=32)
    if not isinstance(architecture(text), Cell):
        skeleton = replace(skeleton, auxiliary=True, drop_path=0.3)
    network = build_network(architecture(text), skeleton, seeded()).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    freeze_unused(network, 32)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name
    outputs = network(torch.randn(2, 3, 32, 32, generator=seeded()))
    heads = outputs if isinstance(outputs, tuple) else (outputs,)
    torch.autograd.backward([head.sum() for head in heads])
    trained = {name for name, weight in network.named_parameters() if weight.grad is not None}
    assert trained == {name for name, weight in network.named_parameters() if weight.requires_grad}
    assert some == any(not weight.requires_grad for weight in network.parameters())


def test_every_published_architecture_learns() -> None:
    """All weights get a gradient, on small networks for both kinds of images."""
    for found in PUBLISHED.values():
        for side in (16, 64):
            network = build_network(found, Skeleton(channels=4, cells=1, side=side), seeded())
            network(torch.randn(2, 3, side, side, generator=seeded())).sum().backward()
            lacking = [name for name, weight in network.named_parameters() if weight.grad is None]
            # a node that nothing reads, and that is not concatenated, has no gradient
            assert not lacking, (found, lacking)


@pytest.mark.parametrize("name", ["dil_conv_3x3", "dil_conv_5x5", "sep_conv_5x5"])
def test_gradients_in_bfloat16_are_those_of_float32(name: str) -> None:
    """On a CPU, with channels last: PyTorch's own are wrong for dilated depthwise convolutions."""
    images = torch.randn(16, 8, 32, 32, generator=seeded()).to(memory_format=torch.channels_last)
    gradients = []
    for mixed in (False, True):
        module = operator(name, 8, 8)
        initialise(module, "default", seeded())
        module = module.to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            output = module(images)
        output.float().square().mul(images).sum().backward()
        gradients.append([weight.grad for weight in module.parameters() if weight.ndim == 4])
    for exact, rounded in zip(*gradients, strict=True):
        assert exact is not None
        assert rounded is not None
        assert (rounded - exact).norm() < 0.1 * exact.norm()


@pytest.mark.parametrize("halve", [True, False])
@pytest.mark.parametrize("channels", [4, 7, 12])
def test_gradients_of_strided_pointwise_convolutions_do_not_depend_on_the_layout(
    channels: int, halve: bool
) -> None:
    """On a CPU, with channels last and few channels: PyTorch's own write outside their memory."""
    images = torch.randn(64, channels, 32, 32, generator=seeded())
    gradients = []
    for layout in (torch.contiguous_format, torch.channels_last):
        module = operator("skip_connect", channels, 8, 2, halve=halve)
        initialise(module, "default", seeded())
        output = module.to(memory_format=layout)(images.to(memory_format=layout))
        output.backward(torch.randn(output.shape, generator=seeded()))
        gradients.append([weight.grad for weight in module.parameters() if weight.ndim == 4])
    for exact, other in zip(*gradients, strict=True):
        torch.testing.assert_close(other, exact, rtol=1e-3, atol=1e-3)


def test_pools_become_convolutions_in_any_network() -> None:
    network = build_network(PUBLISHED["amoebanet-a"], Skeleton(channels=4, cells=1), seeded()).eval()
    images = torch.randn(2, 3, 16, 16, generator=seeded())
    before = network(images)
    convolve_pools(network)
    assert not any(isinstance(module, nn.AvgPool2d) for module in network.modules())
    assert torch.allclose(network(images), before, atol=1e-5)


def theirs(name: str) -> str:
    """The name in timm's PNASNet-5 of one of our tensors."""
    place, _, rest = name.removeprefix("body.").partition(".")
    if name.startswith("stem"):
        return name.replace("stem.stem.0", "conv_0.conv").replace("stem.stem.1", "conv_0.bn")
    if name.startswith("classifier"):
        return name.replace("classifier", "last_linear")
    cell = f"cell_stem_{place}" if int(place) < 2 else f"cell_{int(place) - 2}"
    for ours, other in (
        ("last.conv", "conv_1x1.conv"),
        ("last.norm", "conv_1x1.bn"),
        ("before.conv", "conv_prev_1x1.conv"),
        ("before.even", "conv_prev_1x1.path_1.conv"),
        ("before.odd", "conv_prev_1x1.path_2.conv"),
        (
            "before.norm",
            "conv_prev_1x1.bn" if int(place) not in (1, 2, 7, 11) else "conv_prev_1x1.final_path_bn",
        ),
    ):
        if rest.startswith(ours):
            return f"{cell}.{rest.replace(ours, other)}"
    match = re.fullmatch(r"operators\.(\d+)\.(.+)", rest)
    assert match
    arm = int(match[1])
    side = (
        "left" if arm % 2 else "right"
    )  # here the arms of a block are sorted; there the separable one is first
    inner = match[2]
    for ours, other in (
        ("0.1.", "separable_1.depthwise_conv2d."),
        ("0.2.", "separable_1.pointwise_conv2d."),
        ("0.3.", "bn_sep_1."),
        ("1.1.", "separable_2.depthwise_conv2d."),
        ("1.2.", "separable_2.pointwise_conv2d."),
        ("1.3.", "bn_sep_2."),
        ("norm.", "bn."),
        ("1.", "conv."),
        ("2.", "bn."),
    ):
        if inner.startswith(ours):
            inner = inner.replace(ours, other, 1)
            break
    return f"{cell}.comb_iter_{arm // 2}_{side}.{inner}"


def test_outputs_are_those_of_timm() -> None:
    """The same random weights and statistics, the same image: the same logits."""
    timm = pytest.importorskip("timm")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        reference = timm.create_model("pnasnet5large", drop_rate=0.0)
    for module in reference.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    images = torch.randn(2, 3, 131, 131, generator=seeded())
    with torch.no_grad():
        reference.train()(images)  # statistics that keep the values at a common scale
        expected: Tensor = reference.eval()(images)
        state = reference.state_dict()
        network = published("pnasnet5", "pnas-large", LARGE).eval()
        network.load_state_dict({name: state.pop(theirs(name)) for name in network.state_dict()}, assign=True)
        network.drop = torch.zeros(14)
        assert not state
        logits = network(images)
    assert expected.std() > 0.1
    assert torch.allclose(logits, expected, rtol=0, atol=1e-4)
