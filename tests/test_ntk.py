"""The tangent kernel: all rows at once are the rows one by one."""

import pytest
import torch
from torch import Tensor, nn

from nasgauge.harness.network import Choices, Network, Skeleton, build, choices_of, initialise
from nasgauge.harness.network.darts import BlockNetwork
from nasgauge.harness.network.inputs import InvalidBatch
from nasgauge.harness.ntk import Workspace, condition_number, kernel, kernel_at_once, kernel_by_rows
from nasgauge.harness.proxies.tenas import kappa
from nasgauge.spaces import block_genotypes
from nasgauge.spaces.cells import OPERATIONS, Cell
from nasgauge.spaces.nb201 import NB201

TENAS = Skeleton(channels=3, cells=1)
SUPERNET: Choices = (OPERATIONS[1:],) * 6
NETWORKS: dict[str, Choices] = {
    "supernet": SUPERNET,
    "three operations": (OPERATIONS[1:4],) * 6,
    "convolutions alone": (OPERATIONS[2:4],) * 6,
    "one pruned": ((*OPERATIONS[1:3], OPERATIONS[4]), *SUPERNET[1:]),
    "an edge of everything": tuple(SUPERNET[0] if place == 4 else ("skip_connect",) for place in range(6)),
    "1x1 alone": choices_of(Cell(("nor_conv_1x1",) * 6)),
    "pools alone": choices_of(Cell(("avg_pool_3x3",) * 6)),
    "skips alone": choices_of(Cell(("skip_connect",) * 6)),
    "mixed": choices_of(
        Cell(("nor_conv_3x3", "avg_pool_3x3", "nor_conv_1x1", "skip_connect", "none", "nor_conv_3x3"))
    ),
    "a node that nothing reaches": choices_of(
        Cell(("none", "nor_conv_3x3", "nor_conv_3x3", "none", "nor_conv_1x1", "skip_connect"))
    ),
    "a node that leads nowhere": choices_of(
        Cell(("nor_conv_3x3", "avg_pool_3x3", "none", "skip_connect", "none", "none"))
    ),
}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int, side: int = 16, seed: int = 1) -> Tensor:
    return torch.randn(count, 3, side, side, generator=seeded(seed))


@pytest.mark.parametrize("initialisation", ["default", "kaiming_fan_out"])
@pytest.mark.parametrize("choices", NETWORKS.values(), ids=NETWORKS)
def test_all_rows_at_once_are_the_rows_one_by_one(choices: Choices, initialisation: str) -> None:
    network = build(choices, TENAS, seeded(), initialisation=initialisation).double()
    batch = images(6).double()
    torch.testing.assert_close(kernel(network, batch), kernel_by_rows(network, batch), rtol=1e-9, atol=1e-12)


def test_five_digits_of_the_condition_number_in_single_precision() -> None:
    """As TE-NAS asks for it: its supernet, images of 32 × 32."""
    network = build(SUPERNET, TENAS, seeded(), initialisation="kaiming_fan_out")
    batch = images(16, 32)
    exact = condition_number(kernel_by_rows(network.double(), batch.double()))
    assert kappa(network.float(), batch) == pytest.approx(exact, rel=1e-5)


def test_trained_scales_and_shifts_are_followed() -> None:
    """Normalisation away from scale 1 and shift 0, several cells a stage, four classes, height unlike width."""
    network = build(NETWORKS["mixed"], Skeleton(channels=2, cells=2, classes=4), seeded()).double()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.copy_(torch.rand(module.weight.shape, generator=seeded(2)) + 0.5)
                module.bias.copy_(torch.randn(module.bias.shape, generator=seeded(3)))
    batch = torch.randn(5, 3, 8, 12, generator=seeded()).double()
    torch.testing.assert_close(kernel(network, batch), kernel_by_rows(network, batch), rtol=1e-9, atol=1e-12)


def test_a_network_without_a_stem_goes_row_by_row() -> None:
    network = build(SUPERNET, Skeleton(channels=2, cells=1, stem=False), seeded())
    batch = torch.randn((4, 2, 8, 8), generator=seeded())
    assert torch.equal(kernel(network, batch), kernel_by_rows(network, batch))


@pytest.mark.parametrize("side", [16, 9])
@pytest.mark.parametrize("operations", [*block_genotypes.OPERATIONS, "all"])
def test_a_network_of_the_darts_space_has_the_kernel_of_its_rows(operations: str, side: int) -> None:
    """One channel in the normal cell and two in the reduction cell, whose stride is 2; odd sides too."""
    each = block_genotypes.OPERATIONS if operations == "all" else (operations,)
    network = BlockNetwork((each,) * 28, stem=True)
    initialise(network, "kaiming_fan_out", seeded())
    network, batch = network.double(), images(5, side).double()
    found = kernel_at_once(network, batch)
    torch.testing.assert_close(found, kernel_by_rows(network, batch), rtol=1e-9, atol=1e-12)
    assert kappa(network, batch) == condition_number(found)


def test_all_cotangents_at_once_for_layers_that_no_space_has() -> None:
    """Groups, strides, dilation, a bias, padding unlike in height and width, and pools that count padding."""
    layers = [
        nn.Conv2d(3, 4, (3, 5), stride=(2, 1), padding=(1, 3), bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 6, 3, stride=(1, 3), padding=2, dilation=(1, 2), groups=2, bias=False),
        nn.AvgPool2d(3, 1, 1),  # counts padding
        nn.AvgPool2d(3, 1, 1, count_include_pad=False),
        nn.Conv2d(6, 6, 1, stride=2),
        nn.AvgPool2d(2),
        nn.Flatten(),
    ]
    network = nn.Sequential(*layers, nn.LazyLinear(3)).double()
    batch = images(4).double()
    network(batch)
    torch.testing.assert_close(
        kernel_at_once(network, batch), kernel_by_rows(network, batch), rtol=1e-9, atol=1e-12
    )


def test_a_kept_workspace_changes_nothing() -> None:
    workspace = Workspace()
    for choices in (SUPERNET, NETWORKS["mixed"], SUPERNET):
        for count in (4, 7):
            network = build(choices, TENAS, seeded())
            assert torch.equal(kernel(network, images(count), workspace), kernel(network, images(count)))


def test_the_kernel_is_symmetric_with_no_negative_direction() -> None:
    found = kernel(build(SUPERNET, TENAS, seeded()), images(8))
    assert torch.equal(found, found.T)
    assert torch.linalg.eigvalsh(found)[0] > 0


def test_the_network_is_left_as_it_was() -> None:
    network = build(SUPERNET, TENAS, seeded()).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    kernel(network, images(4))
    kernel_by_rows(network, images(4))
    kernel_at_once(network, images(4))
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert not network.training
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_cell_without_a_path_has_no_condition_number() -> None:
    for rank in (0, 1):  # none everywhere, and a skip into the output from a node that nothing reaches
        cell = NB201()[rank]
        assert not NB201().is_connected(cell)
        network = build(choices_of(cell), TENAS, seeded(), initialisation="kaiming_fan_out")
        assert kappa(network, images(4)) != kappa(network, images(4))  # NaN


def test_condition_numbers_of_special_kernels() -> None:
    assert condition_number(torch.diag(torch.tensor([8.0, 4.0, 2.0]))) == 4.0
    assert condition_number(torch.ones(2, 2) * torch.tensor([[1.0, -1.0], [-1.0, 1.0]])) > 1e15
    assert condition_number(torch.diag(torch.tensor([1.0, -1e-9]))) == float("inf")
    assert condition_number(torch.full((2, 2), float("nan"))) != condition_number(torch.zeros(2, 2))


def test_batches_that_have_no_kernel_are_refused() -> None:
    network = build(SUPERNET, TENAS, seeded())
    with pytest.raises(InvalidBatch, match="a batch of 1"):
        kappa(network, images(1))
    with pytest.raises(InvalidBatch, match="takes images of 3 channels, not 1"):
        kappa(network, images(4)[:, :1])
    with pytest.raises(InvalidBatch, match="images of 10 × 10 cannot be halved 2 times"):
        kappa(network, images(4, 10))
    with pytest.raises(InvalidBatch, match="a batch of 1"):
        kappa(nn.Sequential(nn.Flatten(), nn.Linear(48, 2)), torch.zeros(1, 3, 4, 4))


def test_any_network_has_a_kernel_row_by_row() -> None:
    """A linear network's kernel is known: classes times the images' inner products."""
    batch = images(3, 4)
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 5))
    assert not isinstance(network, Network)
    flat = batch.flatten(1).double()
    torch.testing.assert_close(kernel_by_rows(network, batch), 5 * flat @ flat.T, rtol=1e-5, atol=1e-4)
