"""Surrogates: what each one learns, in what form, and what is said of one that misbehaves."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.linear_model import Ridge

from nasgauge.searchers.surrogates import SURROGATES, BadPrediction, InvalidSurrogate, Predictor, installed
from nasgauge.searchers.surrogates.neural import NeuralSurrogate, Perceptron, Recurrent
from nasgauge.spaces.block_spaces import BlockSpace
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.errors import MissingExtra
from nasgauge.spaces.features import LAYOUT
from nasgauge.spaces.nb201 import NB201

space = NB201()
Array = NDArray[np.float64]


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


def test_torch_is_left_as_it_was_found() -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    fitted("mlp-ensemble", connected(20)).predict(connected(5))
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


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
