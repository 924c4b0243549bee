"""Surrogates: what each one learns, in what form, and what is said of one that misbehaves."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.linear_model import Ridge

from nasgauge.searchers.surrogates import SURROGATES, BadPrediction, InvalidSurrogate, Predictor, installed
from nasgauge.searchers.surrogates.networks import Network, Perceptron, Recurrent
from nasgauge.searchers.surrogates.neural import Adam, NeuralSurrogate
from nasgauge.spaces.block_spaces import BlockSpace
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.errors import MissingExtra
from nasgauge.spaces.features import LAYOUTS, Layout
from nasgauge.spaces.nb201 import NB201

space = NB201()
Array = NDArray[np.float64]
LAYOUT = LAYOUTS["tokens"]


def accuracy(cell: Cell) -> float:
    """A world in which only what is in use counts: 3x3 convolutions on paths, with a little for depth."""
    routes = [[cell.ops[edge] for edge in route] for route in ((3,), (0, 4), (1, 5), (0, 2, 5))]
    live = [route for route in routes if "none" not in route]
    return 40 + 5 * sum(route.count("nor_conv_3x3") for route in live) + max(map(len, live), default=0)


def connected(count: int, seed: int = 0) -> list[Cell]:
    rng = np.random.default_rng(seed)
    cells = [cell for cell in (space.sample(rng) for _ in range(2 * count)) if space.is_connected(cell)]
    return cells[:count]


def fitted(name: str, cells: list[Cell], seed: int = 0) -> Predictor[Cell]:
    predictor = Predictor(space, np.random.default_rng(seed), name)
    predictor.learn(cells, [accuracy(cell) for cell in cells])
    return predictor


@pytest.mark.parametrize("name", SURROGATES)
def test_what_was_learnt_on_some_cells_ranks_others(name: str) -> None:
    known, new = connected(120), connected(300, seed=1)
    predicted = fitted(name, known).predict(new)
    assert spearmanr(predicted, [accuracy(cell) for cell in new]).statistic > 0.7
    assert 30 < predicted.min() < predicted.max() < 110, "percent come out, as percent went in"


@pytest.mark.parametrize("name", SURROGATES)
def test_same_seed_same_predictions(name: str) -> None:
    known, new = connected(40), connected(50, seed=1)
    assert fitted(name, known).predict(new).tolist() == fitted(name, known).predict(new).tolist()


@pytest.mark.parametrize("name", ["mlp-ensemble", "lstm-ensemble", "forest"])
def test_cells_one_size_larger_than_any_seen_are_ranked(name: str) -> None:
    small = [cell for cell in connected(2000) if space.level(cell, "paths") <= 2][:150]
    large = [cell for cell in connected(2000) if space.level(cell, "paths") == 3][:200]
    predicted = fitted(name, small).predict(large)
    assert spearmanr(predicted, [accuracy(cell) for cell in large]).statistic > 0.5


@pytest.mark.parametrize("name", [name for name, kind in SURROGATES.items() if kind.members])
def test_the_members_of_an_ensemble_disagree_and_their_mean_is_the_prediction(name: str) -> None:
    predictor, new = fitted(name, connected(60)), connected(80, seed=1)
    members = predictor.members(new)
    assert members.mean(0) == pytest.approx(predictor.predict(new), abs=1e-6)
    assert members.std(0).mean() > 0.01


def test_each_member_leaves_out_another_fifth() -> None:
    """One cell in fifty has a wild figure: just the member that never saw it is not drawn to it."""
    cells = connected(50)
    X, y = space.features(cells, "tokens"), np.full(50, 50.0)
    y[7] = 95.0
    surrogate = NeuralSurrogate(0, LAYOUT, Perceptron, members=5, steps=400).fit(X, y)
    drawn = surrogate.members(X)[:, 7]
    assert (drawn < 65).sum() == 1, drawn
    assert (drawn > 80).sum() == 4, drawn


@pytest.mark.parametrize("network", [Perceptron, Recurrent])
def test_an_absent_block_is_no_information(network: type[Perceptron | Recurrent]) -> None:
    """A place without a block may stand anywhere in the row."""
    surrogate = NeuralSurrogate(0, LAYOUT, network).fit(
        space.features(connected(30), "tokens"), np.linspace(20, 80, 30)
    )
    rows = np.array([[5.0, 40.0, 0, 0], [5.0, 0, 0, 40.0], [0, 5.0, 40.0, 0]])
    predicted = surrogate.predict(rows)
    assert predicted == pytest.approx(predicted[0])


def test_the_perceptron_does_not_see_the_order_of_blocks_and_the_lstm_does() -> None:
    rows = np.array([[5.0, 40.0, 7.0, 0], [7.0, 5.0, 40.0, 0]])
    seen = {}
    for network in (Perceptron, Recurrent):
        surrogate = NeuralSurrogate(0, LAYOUT, network)
        surrogate.fit(space.features(connected(30), "tokens"), np.linspace(20, 80, 30))
        one, other = surrogate.predict(rows)
        seen[network] = abs(one - other)
    assert seen[Perceptron] < 1e-3 < seen[Recurrent]


def test_many_cells_are_scored_in_pieces_with_the_same_result() -> None:
    surrogate = NeuralSurrogate(0, LAYOUT, Perceptron, members=5)
    surrogate.fit(space.features(connected(30), "tokens"), np.linspace(20, 80, 30))
    everything = space.features(list(space), "tokens")
    assert surrogate.predict(everything)[9000:9100] == pytest.approx(
        surrogate.predict(everything[9000:9100]), abs=1e-3
    )


def test_blocks_of_four_tokens_are_learnt_too() -> None:
    blocks, rng = BlockSpace(3), np.random.default_rng(0)
    cells = [blocks.sample(rng) for _ in range(400)]
    truth = [40.0 + 5 * str(cell).count("sep_conv") for cell in cells]
    predictor = Predictor(blocks, rng, "mlp-ensemble")
    predictor.learn(cells[:200], truth[:200])
    assert spearmanr(predictor.predict(cells[200:]), truth[200:]).statistic > 0.7


def test_any_regressor_of_scikit_learn_is_a_surrogate() -> None:
    predictor = Predictor(space, np.random.default_rng(0), Ridge(1.0), code="one_hot")
    cells = connected(100)
    predictor.learn(cells, [cell.ops.count("nor_conv_3x3") for cell in cells])
    new = connected(50, seed=1)
    assert predictor.predict(new) == pytest.approx([c.ops.count("nor_conv_3x3") for c in new], abs=0.3)


# networks


def in_double_precision(network: Network) -> None:
    """So that differences of a loss are exact enough to be slopes."""
    for weights in (network.weights, network.gradients):
        ends = np.cumsum([part.size for part in weights.values()])
        weights.vector = weights.vector.astype(np.float64)
        for name, part in zip(weights, np.split(weights.vector, ends[:-1]), strict=True):
            weights[name] = part.reshape(weights[name].shape)


@pytest.mark.parametrize("slots", [1, 2])
@pytest.mark.parametrize("kind", [Perceptron, Recurrent])
@pytest.mark.parametrize("shared", [True, False])
def test_the_backward_pass_gives_the_slopes_of_the_forward_pass(
    kind: type[Perceptron | Recurrent], slots: int, shared: bool
) -> None:
    """Of a weighted sum of outputs, by central differences; inputs common to the members, or each its own."""
    rng = np.random.default_rng(0)
    network: Network = kind(Layout(3, slots, 5), 2, rng)
    in_double_precision(network)
    tokens = rng.integers(1, 6, (7, 3, slots))
    tokens[2, 1:] = tokens[4, 2] = 0
    inputs = network.encode(tokens)
    if not shared:
        inputs = np.stack([inputs, inputs[::-1]])
    parts_MN = rng.standard_normal((2, 7))
    network.forward(inputs)
    network.backward(parts_MN)  # type: ignore[arg-type]
    for name, weights in network.weights.items():
        flat, slopes = weights.reshape(-1), network.gradients[name].reshape(-1)
        for place in rng.choice(flat.size, min(5, flat.size), replace=False) if flat.size else ():
            kept, sums = flat[place], []
            for step in (1e-6, -1e-6):
                flat[place] = kept + step
                sums.append(float((network.forward(inputs) * parts_MN).sum()))
            flat[place] = kept
            assert slopes[place] == pytest.approx((sums[0] - sums[1]) / 2e-6, abs=1e-7), name


def test_adam_moves_weights_as_torch_does() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    ours, slopes = rng.standard_normal((2, 50)).astype(np.float32)
    theirs = torch.tensor(ours.copy(), requires_grad=True)
    adam, reference = Adam(ours, slopes), torch.optim.Adam([theirs], lr=0.01)
    for _ in range(20):
        slopes[:] = rng.standard_normal(50)
        theirs.grad = torch.tensor(slopes.copy())
        adam.step(0.01)
        reference.step()
    assert ours == pytest.approx(theirs.detach().numpy(), abs=1e-5)


def test_a_node_s_tokens_are_its_inputs_and_their_operations() -> None:
    cell = Cell(("nor_conv_3x3", "none", "skip_connect", "avg_pool_3x3", "none", "nor_conv_1x1"))
    rows = space.features([cell], "operations").reshape(3, 2, 3)
    assert rows[0].tolist() == [[1, 0, 0], [6, 0, 0]], "node 1 reads node 0 through a 3x3 convolution"
    assert rows[1].tolist() == [[0, 2, 0], [0, 4, 0]]
    assert rows[2].tolist() == [[1, 0, 3], [7, 0, 5]]


def test_predictions_depend_on_no_number_of_threads_and_need_no_torch() -> None:
    script = textwrap.dedent("""
        import hashlib, sys
        import numpy as np
        from nasgauge.searchers.surrogates import Predictor
        from nasgauge.spaces.nb201 import NB201
        space, found = NB201(), hashlib.sha256()
        cells = [space[rank] for rank in range(0, 15_625, 25)]
        for name in ("mlp-ensemble", "lstm"):
            predictor = Predictor(space, np.random.default_rng(0), name)
            predictor.learn(cells[::7], [float(rank % 50 + 40) for rank in range(len(cells[::7]))])
            found.update(predictor.predict(cells).tobytes())
        assert "torch" not in sys.modules
        print(found.hexdigest())
    """)
    printed = set()
    for threads, hashes in (("1", "0"), ("4", "12345")):
        environment = os.environ | {
            "OMP_NUM_THREADS": threads,
            "OPENBLAS_NUM_THREADS": threads,
            "PYTHONHASHSEED": hashes,
        }
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        printed.add(done.stdout)
    assert len(printed) == 1


# what is refused


class Broken:
    """A surrogate that predicts what it was made with."""

    def __init__(self, values: Array) -> None:
        self.values = values

    def fit(self, X: Array, y: Array) -> None:
        """Nothing is learnt."""

    def predict(self, X: Array) -> Array:  # noqa: ARG002
        return self.values


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([1.0, np.nan, 3.0]), "Broken predicted 1 values that are not finite"),
        (np.array([1.0, np.inf, np.nan]), "Broken predicted 2 values that are not finite"),
        (
            np.ones((3, 1)),
            r"Broken gave predictions of shape \(3, 1\) for 3 cells; it must give shape \(3,\)",
        ),
        (np.ones(2), r"shape \(2,\) for 3 cells"),
    ],
)
def test_a_surrogate_that_predicts_nonsense_is_named(values: Array, message: str) -> None:
    predictor = Predictor(space, np.random.default_rng(0), Broken(values))
    predictor.learn(connected(3), [1.0, 2.0, 3.0])
    with pytest.raises(BadPrediction, match=message):
        predictor.predict(connected(3))


def test_an_unknown_surrogate_is_told() -> None:
    with pytest.raises(InvalidSurrogate, match=r"must be one of boosting, forest, .*, not 'tree'"):
        Predictor(space, np.random.default_rng(0), "tree")


def test_a_surrogate_without_members_cannot_explore() -> None:
    with pytest.raises(InvalidSurrogate, match=r"mlp has no members .* choose from forest, gp"):
        Predictor(space, np.random.default_rng(0), "mlp", members=True)


def test_a_surrogate_whose_package_is_missing_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "nasgauge.searchers.surrogates.find_spec", lambda name: None if name == "lightgbm" else name
    )
    assert "lightgbm" not in installed()
    with pytest.raises(MissingExtra, match=r'the package lightgbm.* pip install "nasgauge\[surrogates\]"'):
        Predictor(space, np.random.default_rng(0), "lightgbm")
