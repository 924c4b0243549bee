"""NAS-Bench-201's network: the skeleton, its official size, and supernets."""

import bz2
import codecs
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from nasgauge.data.importers import unpickle
from nasgauge.harness.network import (
    InvalidChoices,
    Skeleton,
    UnknownInitialisation,
    build,
    choices_of,
    flops,
    initialise,
    parameters,
)
from nasgauge.harness.network.inputs import InvalidBatch, check_images, open_device
from nasgauge.harness.network.nb201 import CellModule
from nasgauge.harness.network.unchanged import unchanged
from nasgauge.harness.records.recipes import RECIPES
from nasgauge.spaces import costs
from nasgauge.spaces.cells import OPERATIONS, Cell
from nasgauge.spaces.nb201 import NB201

RECORDS = Path(__file__).resolve().parents[2] / "shared" / "nb201"
MIXED = Cell(("nor_conv_3x3", "avg_pool_3x3", "nor_conv_1x1", "skip_connect", "none", "nor_conv_3x3"))
_SCALAR = np.float64(0).__reduce__()[0]
NATS = {
    ("collections", "OrderedDict"): OrderedDict,
    ("builtins", "set"): set,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "scalar"): _SCALAR,
    ("_codecs", "encode"): codecs.encode,
}
SMALL = Skeleton(channels=4, cells=1)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100", "ImageNet16-120"])
def test_size_is_what_the_cell_costs(dataset: str) -> None:
    space, of = NB201(), costs.task(dataset)
    for cell in (space[0], space[15_624], MIXED, Cell(("nor_conv_1x1",) * 6)):
        network = build(choices_of(cell), Skeleton(classes=of.classes), seeded())
        assert parameters(network) == costs.parameters(cell, dataset)
        assert flops(network, (3, of.side, of.side)) == costs.multiply_adds(cell, dataset)


@pytest.mark.parametrize("index", [0, 11, 284])
def test_size_is_that_of_the_genuine_records(index: int) -> None:
    path = RECORDS / "raw" / "NATS-tss-v1_0-3ffb9-simple" / f"{index:06d}.pickle.pbz2"
    if not path.is_file():
        pytest.skip("the genuine records are not beside this checkout")
    with bz2.open(path) as file:
        record = unpickle(file, NATS)
    state = record["200"]
    cell = Cell.parse(state["arch_str"])
    trials = {dataset: trial for (dataset, _seed), trial in state["all_results"].items()}
    assert len(trials) == 4
    for dataset, trial in trials.items():
        of = costs.task(dataset)
        network = build(choices_of(cell), Skeleton(classes=of.classes), seeded())
        assert parameters(network) / 1e6 == pytest.approx(trial["params"], rel=1e-9)
        assert flops(network, (3, of.side, of.side)) / 1e6 == pytest.approx(trial["flop"], rel=1e-9)


def test_forward_is_the_cell_by_hand() -> None:
    """Nodes are sums over edges; pooling leaves the padding out; each convolution is ReLU-Conv-BN."""
    cell = CellModule(choices_of(MIXED), 4)
    images = torch.randn(3, 4, 6, 6, generator=seeded())

    def edge(place: int, values: torch.Tensor) -> torch.Tensor:
        module = next(iter(cell.edges[place].children()))
        conv, norm = module.conv, module.norm
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        result: torch.Tensor = norm(conv(values.relu()))
        return result

    one = edge(0, images)
    two = torch.nn.functional.avg_pool2d(images, 3, 1, 1, count_include_pad=False) + edge(2, one)
    three = images + edge(5, two)
    assert torch.allclose(cell(images), three, atol=1e-5)


def test_an_edge_of_a_supernet_is_the_average() -> None:
    pooled, skipped = (
        CellModule(tuple((op,) if place == 3 else ("none",) for place in range(6)), 2)
        for op in ("avg_pool_3x3", "skip_connect")
    )
    both = CellModule(tuple(("avg_pool_3x3", "skip_connect") if place == 3 else () for place in range(6)), 2)
    images = torch.randn(2, 2, 5, 5, generator=seeded())
    assert torch.allclose(both(images), (pooled(images) + skipped(images)) / 2)


def test_none_delivers_zero_through_what_follows() -> None:
    network = build(choices_of(NB201()[0]), SMALL, seeded())
    logits = network(torch.randn(2, 3, 8, 8, generator=seeded()))
    assert torch.equal(logits[0], logits[1])


def test_weights_come_from_the_generator_alone() -> None:
    before = torch.random.get_rng_state()
    first, again, other = (build(choices_of(MIXED), SMALL, seeded(s)) for s in (1, 1, 2))
    same = [torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True)]
    differs = [not torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True)]
    assert all(same)
    assert any(differs)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("name", "deviation"),
    [("default", 1 / (3 * 300) ** 0.5), ("kaiming_fan_in", (2 / 300) ** 0.5), ("kaiming_fan_out", 2**-4.5)],
)
def test_initialisations_have_the_deviations_of_their_papers(name: str, deviation: float) -> None:
    layer = nn.Linear(300, 1024)
    initialise(layer, name, seeded())
    assert layer.weight.std().item() == pytest.approx(deviation, rel=0.01)
    if name != "default":
        assert not layer.bias.any()


def test_the_networks_of_pnas_count_the_outputs_of_a_depthwise_convolution_as_tensorflow_does() -> None:
    """TensorFlow's kernel of it is (3, 3, 256, 1), with a fan out of 9; PyTorch's is (256, 1, 3, 3), with 2304."""
    layer = nn.Conv2d(256, 256, 3, groups=256)
    for name, fan_out in (("kaiming_fan_out", 2304), ("kaiming_fan_out_per_group", 9)):
        initialise(layer, name, seeded())
        assert layer.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.05), name
    assert {RECIPES[name].initialisation for name in ("pnas-cifar", "pnas-mobile", "pnas-large")} == {
        "kaiming_fan_out_per_group"
    }


def test_looking_leaves_no_trace() -> None:
    network = build(choices_of(MIXED), SMALL, seeded()).eval()
    network.classifier.bias.requires_grad_(False)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with unchanged(network):
        network.train()
        for parameter in network.parameters():
            parameter.requires_grad_(True)
        network(torch.randn(2, 3, 8, 8, generator=seeded())).sum().backward()
        initialise(network, "standard_normal", seeded())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert not network.training
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not network.classifier.bias.requires_grad


def test_what_cannot_be_built_is_refused() -> None:
    with pytest.raises(InvalidChoices, match="6 edges, not 5"):
        build((("none",),) * 5, SMALL, seeded())
    with pytest.raises(InvalidChoices, match="unknown operation 'conv'"):
        build((("conv",),) * 6, SMALL, seeded())
    with pytest.raises(InvalidChoices, match="may list each operation once"):
        build(((OPERATIONS[3],) * 2,) * 6, SMALL, seeded())
    with pytest.raises(InvalidChoices, match="at least 1"):
        Skeleton(channels=0)
    with pytest.raises(UnknownInitialisation, match="choose from default"):
        build(choices_of(MIXED), SMALL, seeded(), initialisation="he")


def test_images_that_do_not_fit_are_refused() -> None:
    network = build(choices_of(MIXED), SMALL, seeded())
    with pytest.raises(InvalidBatch, match="a batch of 1"):
        check_images(torch.zeros(1, 3, 8, 8))
    with pytest.raises(InvalidBatch, match=r"not torch.float32 of shape \(3, 8, 8\)"):
        check_images(torch.zeros(3, 8, 8))
    with pytest.raises(InvalidBatch, match=r"not torch\.uint8"):
        check_images(torch.zeros(2, 3, 8, 8, dtype=torch.uint8))
    with pytest.raises(InvalidBatch, match="takes images of 3 channels, not 1"):
        check_images(torch.zeros(2, 1, 8, 8), network, 3)
    with pytest.raises(InvalidBatch, match="the network is on cpu, the images are on meta"):
        check_images(torch.zeros(2, 3, 8, 8, device="meta"), network)


def test_a_device_that_is_not_there_is_refused() -> None:
    assert open_device("cpu") == torch.device("cpu")
    with pytest.raises(InvalidBatch, match="no device 'cuda:77' on this machine; choose from cpu"):
        open_device("cuda:77")
    with pytest.raises(InvalidBatch, match="no device 'tpuu'"):
        open_device("tpuu")
