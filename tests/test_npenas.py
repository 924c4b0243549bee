"""NPENAS: cells as graphs, the network against PyTorch's, and a search that follows what it predicts."""

import numpy as np
import pytest

from nasgauge.harness.search.specs import InvalidOption, Spec
from nasgauge.searchers.npenas import NPENAS
from nasgauge.searchers.surrogates.graphs import GIN, GraphSurrogate
from nasgauge.spaces.block_spaces import BlockSpace
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.genotype_spaces import GenotypeSpace
from nasgauge.spaces.nb201 import NB201, TransNAS

space = NB201()


def graph(where: NB201 | BlockSpace | GenotypeSpace, cell: object) -> tuple[list[int], np.ndarray]:
    layout = where.layouts["graph"]
    rows = where.features([cell], "graph").reshape(layout.blocks, layout.slots)  # type: ignore[list-item]
    assert rows[:, 0].max() == layout.vocabulary
    return rows[:, 0].astype(int).tolist(), rows[:, 1:]


def test_the_graph_of_a_cell_has_its_edges_as_nodes() -> None:
    cell = Cell(("nor_conv_3x3", "none", "skip_connect", "avg_pool_3x3", "nor_conv_1x1", "nor_conv_3x3"))
    labels, leads = graph(space, cell)
    edges = {(int(source), int(into)) for into, source in zip(*np.nonzero(leads), strict=True)}
    assert labels == [1, 5, 2, 3, 6, 4, 5, 7]
    assert edges == {(0, 1), (0, 4), (1, 3), (1, 5), (3, 6), (4, 7), (5, 7), (6, 7)}


@pytest.mark.parametrize("where", [BlockSpace(2), GenotypeSpace()])
def test_graphs_of_other_spaces_are_acyclic_and_end_in_the_output(where: BlockSpace | GenotypeSpace) -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        _, leads = graph(where, where.sample(rng))
        assert np.array_equal(leads, np.tril(leads, -1)), "nodes stand in order"
        arms = leads.sum(1) == 1
        sums = leads.sum(1) == 2
        assert arms[:-1].sum() == 2 * sums[:-1].sum()
        assert leads[-1, :-1].tolist() == sums[:-1].tolist()


@pytest.mark.torch
def test_the_network_is_what_torch_computes() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    surrogate = GraphSurrogate(0, space.layouts["graph"])
    labels, sums = surrogate._encoded(space.features([space.sample(rng) for _ in range(9)], "graph"))
    net = GIN(7, rng)
    outputs = net.forward(labels, sums, training=True)
    slopes = rng.normal(size=9).astype(np.float32)
    net.backward(slopes)

    w = {name: torch.tensor(values, requires_grad=True) for name, values in net.weights.items()}
    hidden = torch.tensor(labels)
    for layer in range(3):
        hidden = torch.relu(torch.tensor(sums) @ hidden @ w[f"first {layer}"] + w[f"first bias {layer}"])
        hidden = torch.relu(hidden @ w[f"second {layer}"] + w[f"second bias {layer}"])
        hidden = torch.nn.functional.batch_norm(
            hidden.reshape(72, 32), None, None, w[f"scale {layer}"], w[f"bias {layer}"], training=True
        ).reshape(9, 8, 32)
    before = torch.relu(hidden.mean(1) @ w["before"] + w["before bias"]) * torch.tensor(net._kept[-1])
    theirs = (before @ w["last"])[:, 0] + w["last bias"]
    theirs.backward(torch.tensor(slopes))
    assert outputs == pytest.approx(theirs.detach().numpy(), rel=1e-4, abs=1e-5)
    for name, gradient in net.gradients.items():
        expected = w[name].grad.numpy()
        assert gradient == pytest.approx(
            expected, rel=1e-3, abs=1e-4 * max(1.0, float(np.abs(expected).max()))
        ), name


def test_it_learns_a_landscape_that_edges_decide() -> None:
    rng = np.random.default_rng(0)
    cells = [space.sample(rng) for _ in range(160)]
    worth = np.array([50.0 + 7 * cell.ops.count("nor_conv_3x3") for cell in cells])
    surrogate = GraphSurrogate(0, space.layouts["graph"], epochs=60)
    surrogate.fit(space.features(cells[:80], "graph"), worth[:80])
    predicted = surrogate.predict(space.features(cells[80:], "graph"))
    assert np.corrcoef(predicted, worth[80:])[0, 1] > 0.8


def test_a_search_asks_for_what_is_new_and_gets_better() -> None:
    searcher = NPENAS(space, np.random.default_rng(0), epochs=30)
    seen: list[str] = []
    means = []
    for _ in range(6):
        batch = searcher.ask()
        assert len(batch) == 10
        seen += map(space.canonical, batch)
        means.append(np.mean([cell.ops.count("nor_conv_3x3") for cell in batch]))
        for cell in batch:
            searcher.tell(cell, 50.0 + 7 * cell.ops.count("nor_conv_3x3"))
    assert len(set(seen)) == len(seen)
    assert means[-1] > means[0] + 1.5


def test_a_failed_training_is_left_out() -> None:
    searcher = NPENAS(space, np.random.default_rng(0), epochs=2)
    for turn in range(3):
        for cell in searcher.ask():
            searcher.tell(cell, float("nan") if turn == 0 else 60.0)


@pytest.mark.parametrize("where", [TransNAS(), BlockSpace(3), GenotypeSpace()])
def test_other_spaces_are_searched_too(where: TransNAS) -> None:
    searcher = NPENAS(where, np.random.default_rng(0), epochs=2)
    for turn in range(3):
        for cell in searcher.ask():
            searcher.tell(cell, 50.0 + turn)


def test_bad_input_is_told() -> None:
    with pytest.raises(InvalidOption, match=r"candidates at least batch, not .* candidates=5"):
        Spec.of("npenas:candidates=5")

    class Bare(NB201):
        layouts = {name: NB201.layouts[name] for name in ("tokens", "operations")}  # type: ignore[misc] # noqa: RUF012

    with pytest.raises(ValueError, match="have no graphs; give it the code `graph`"):
        NPENAS(Bare(), np.random.default_rng(0))
