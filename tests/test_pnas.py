"""Progressive search: how cells grow, what is proposed, when, and what the answer is."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from nasgauge.data.tables import AccuracyTable
from nasgauge.harness.records.steps import Evaluation, gather
from nasgauge.harness.search.oracle import Table
from nasgauge.harness.search.runner import Budget, InvalidBudget, run
from nasgauge.harness.search.specs import InvalidOption, Spec
from nasgauge.searchers.pnas import PNAS, PNAS_PUBLISHED
from nasgauge.searchers.surrogates import BadPrediction
from nasgauge.searchers.surrogates.ranking import Ranking
from nasgauge.spaces.block_cells import BlockCell
from nasgauge.spaces.block_spaces import BlockSpace
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.nb201 import NB201
from nasgauge.spaces.progressions import PROGRESSIONS

Array = NDArray[np.float64]
space = NB201()
BEST = Cell(("nor_conv_3x3",) * 6)
CONVOLUTIONS = slice(3, None, 5)
"""Where `one_hot`, with which `structure` begins, says that an edge is a 3x3 convolution."""


class Convolutions:
    """A surrogate that knows the toy's answer: the number of 3x3 convolutions."""

    def fit(self, X: Array, y: Array) -> None:
        """There is nothing to learn."""

    def predict(self, X: Array) -> Array:
        return np.asarray(X[:, :30][:, CONVOLUTIONS].sum(1))


def batches(searcher: PNAS[Cell], count: int) -> list[list[Cell]]:
    """What a searcher asks for in its first rounds on the toy."""
    asked = []
    for _ in range(count):
        asked.append(searcher.ask())
        for cell in asked[-1]:
            searcher.tell(cell, float(cell.ops.count("nor_conv_3x3")))
    return asked


# growing


def test_a_cell_without_a_path_has_a_level() -> None:
    dead_end = Cell(("nor_conv_3x3", *["none"] * 5))
    assert not space.is_connected(dead_end)
    assert (space.level(dead_end, "nodes"), space.level(dead_end, "paths")) == (2, 1)


@pytest.mark.parametrize("by", PROGRESSIONS)
def test_children_are_one_level_larger_and_keep_their_parent_s_operations(by: str) -> None:
    cells: Sequence[Cell] = space.grow(None, by)
    assert {space.level(cell, by) for cell in cells} == {1}
    for level in range(2, {"nodes": 3, "paths": 4}[by] + 1):
        parent = max(cells, key=lambda cell: (space.level(cell, by), str(cell)))
        children = space.grow(parent, by)
        assert max(space.level(child, by) for child in children) == level
        for child in children:
            pairs = zip(parent.ops, child.ops, strict=True)
            assert all(before in ("none", after) for before, after in pairs)
        cells = children
    assert space.grow(cells[-1], by) == ()


@pytest.mark.parametrize("by", PROGRESSIONS)
def test_every_structure_but_that_of_unused_edges_is_reached(by: str) -> None:
    """By nodes every network is reached; by paths too, as any network can be written with edges in use."""
    from nasgauge.studies.predictors import network

    reached, level = set(), list(space.grow(None, by))
    while level:
        reached.update(level)
        level = list({child for cell in level for child in space.grow(cell, by)} - reached)
    everything = {network(cell) for cell in space if space.is_connected(cell)}
    assert {network(cell) for cell in reached if space.is_connected(cell)} == everything


def test_by_paths_nothing_unconnected_is_ever_met() -> None:
    level = set(space.grow(None, "paths"))
    assert len(level) == 84
    while level:
        assert all(space.is_connected(cell) for cell in level)
        level = {child for cell in level for child in space.grow(cell, "paths")}


def test_an_unknown_progression_is_told() -> None:
    with pytest.raises(InvalidOption, match="unknown progression 'edges'; choose from nodes, paths"):
        Spec.parse("pnas:progression=edges")


# what is proposed


def test_all_of_the_smallest_then_the_best_of_each_size() -> None:
    searcher = PNAS(space, np.random.default_rng(0), beam=5, batch=3, surrogate=Convolutions())
    first, second, third, fourth = batches(searcher, 4)
    assert [cell.ops[3] for cell in first] == ["skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]
    assert [space.level(cell) for cell in second] == [2] * 5
    assert [space.level(cell) for cell in third + fourth] == [3] * 6
    assert second[0].ops == ("nor_conv_3x3", "none", "none", "nor_conv_3x3", "nor_conv_3x3", "none")
    assert third[0] == BEST, "the surrogate knows it all"


def test_larger_cells_grow_from_those_that_were_kept() -> None:
    searcher = PNAS(space, np.random.default_rng(0), beam=4, batch=200, surrogate=Convolutions())
    _, second, third = batches(searcher, 3)
    bare = {(cell.ops[0], cell.ops[3], cell.ops[4]) for cell in second}
    for cell in third:
        ops = (cell.ops[0], cell.ops[3], cell.ops[4])
        small = Cell((ops[0], "none", "none", ops[1], ops[2], "none"))
        assert ops in bare or not space.is_connected(small), "of no parent, or of one that cost nothing"


@pytest.mark.parametrize("name", ["pnas", "pnas-ucb", "pnas:progression=paths:beam=84", "smbo", "bananas"])
def test_nothing_is_proposed_twice_and_nothing_unconnected(name: str, toy: AccuracyTable) -> None:
    searcher = Spec.parse(f"{name}:surrogate=forest").make(space, np.random.default_rng(3))
    cells = [step.cell for step in run(searcher, Table(toy, "toy"), Budget(150))]
    later = cells[10:] if name == "bananas" else cells  # it begins at random, as its paper does
    assert len(cells) == 150
    assert all(space.is_connected(cell) for cell in later)
    assert len({space.canonical(cell) for cell in later}) == len(later)


@pytest.mark.parametrize("batch", [3, 24])
def test_what_the_beam_shut_out_comes_back_as_fast_as_the_search_goes_on(batch: int) -> None:
    """The best of the toy grows from the cell that comes last until cells of full size were seen."""

    class Late(Convolutions):
        def fit(self, X: Array, y: Array) -> None:  # noqa: ARG002 - it knows, once it may
            node_2 = [5 * edge for edge in (1, 2, 5)]  # where `one_hot` says that an edge of it is `none`
            self.sign = 1 if (X[:, node_2] == 0).any() else -1

        def predict(self, X: Array) -> Array:
            return np.asarray(self.sign * super().predict(X))

    small = {space.canonical(cell) for cell in space.grow(None)}
    larger = [cell for parent in space.grow(None) for cell in space.grow(parent) if space.is_connected(cell)]
    shut_out = len({space.canonical(cell) for cell in larger} - small) - 8
    searcher = PNAS(space, np.random.default_rng(0), beam=8, batch=batch, surrogate=Late())
    asked = batches(searcher, 3 + math.ceil(shut_out / batch))
    assert asked[-1][0] == BEST
    assert all(BEST not in cells for cells in asked[:-1])


def test_at_full_size_the_search_goes_on_until_every_structure_was_proposed() -> None:
    searcher = PNAS(space, np.random.default_rng(0), beam=10, batch=1500, surrogate=Convolutions())
    asked = [cell for batch in batches(searcher, 200) for cell in batch]
    assert searcher.ask() == []
    structures = {space.canonical(cell) for cell in asked}
    assert len(structures) == len(asked)
    from nasgauge.studies.predictors import network

    assert {network(c) for c in asked} == {network(c) for c in space if space.is_connected(c)}


# how well


@pytest.mark.parametrize("name", ["pnas", "pnas-ucb", "smbo", "bananas", "tpe", "gp"])
def test_the_best_of_the_toy_is_found_with_few_queries(name: str, toy: AccuracyTable) -> None:
    """Random search has seen the one best cell of 15,625 with probability 1 % after as many queries."""
    searcher = Spec.parse(name).make(space, np.random.default_rng(0))
    steps = run(searcher, Table(toy, "toy"), Budget(80))
    best = max(step.evaluation.validation for step in steps)
    assert best >= (6 if name.startswith("pnas") else 5)


def test_on_the_paper_s_own_space_with_a_computed_oracle() -> None:
    """136 one-block cells, then the best of 40,000 of two blocks: each separable convolution counts."""

    class Oracle:
        def evaluate(self, cell: BlockCell) -> Evaluation:
            accuracy = 50 + 8 * str(cell).count("sep_conv") + 2 * str(cell).count("h1")
            return Evaluation(accuracy, accuracy, np.nan, np.nan)

    blocks = BlockSpace(2)
    searcher = PNAS(blocks, np.random.default_rng(0), beam=136, batch=10, surrogate="mlp-ensemble")
    steps = list(run(searcher, Oracle(), Budget(186)))
    assert [len(step.cell.blocks) for step in steps] == [1] * 136 + [2] * 50
    assert len({step.cell for step in steps}) == 186
    best = max(step.evaluation.validation for step in steps)
    assert best == 50 + 4 * (8 + 2), "four separable convolutions, all on the previous cell"


@pytest.mark.slow
def test_at_the_paper_s_size_1160_cells_of_hundreds_of_thousands_are_evaluated() -> None:
    """K = 256 and B = 5: 136 + 4 * 256. Each separable convolution counts, and each arm on the previous cell."""

    class Oracle:
        def evaluate(self, cell: BlockCell) -> Evaluation:
            accuracy = 50 + 4 * str(cell).count("sep_conv") + str(cell).count("h1")
            return Evaluation(accuracy, accuracy, np.nan, np.nan)

    searcher = PNAS(BlockSpace(5), np.random.default_rng(0), beam=256, batch=256)
    ranked = []
    order = searcher.ranking.order

    def counted(cells: Sequence[BlockCell], count: int) -> tuple[list[BlockCell], list[BlockCell]]:
        ranked.append(len(cells))
        return order(cells, count)

    searcher.ranking.order = counted  # type: ignore[method-assign]
    steps = list(run(searcher, Oracle(), Budget(1160)))
    sizes = [len(step.cell.blocks) for step in steps]
    assert [sizes.count(blocks) for blocks in range(1, 6)] == [136, 256, 256, 256, 256]
    assert ranked[0] == 136 * 137 // 2 + 136 * (300 - 136), "two blocks side by side in any order, or in line"
    bounds = (256 * 528, 256 * 820, 256 * 1176)
    assert all(bound / 2 < found <= bound for found, bound in zip(ranked[1:4], bounds, strict=True))
    assert max(step.evaluation.validation for step in steps) == 50 + 10 * (4 + 1), "the best there is"


def test_the_published_search_stops_at_the_largest_size(toy: AccuracyTable) -> None:
    """All structures of one and of two nodes, 4 + 55, as K = 256 keeps them all, and the best 256 of three nodes."""
    searcher = PNAS_PUBLISHED(space, np.random.default_rng(0))
    fits = []
    learn = searcher.ranking.predictor.learn

    def noted(cells: Sequence[Cell], accuracies: Sequence[float], **training: object) -> None:
        fits.append((len(cells), training["learning_rate"], training["falling"]))
        learn(cells, accuracies, **training)

    searcher.ranking.predictor.learn = noted  # type: ignore[method-assign]
    cells = [step.cell for step in run(searcher, Table(toy, "toy"), Budget(400))]
    assert [space.level(cell) for cell in cells] == [1] * 4 + [2] * 55 + [3] * 256
    assert fits == [(4, 0.01, False), (59, 0.002, False)]
    assert searcher.ranking.predictor.code == "operations"


def test_a_beam_that_keeps_all_reaches_every_connected_structure(toy: AccuracyTable) -> None:
    """Also those that grow only from a cell that equals an earlier one: its children do not equal that one's."""
    searcher = PNAS(space, np.random.default_rng(0), widen=False, beam=20_000, batch=1, surrogate="forest")
    met = {space.canonical(step.cell) for step in run(searcher, Table(toy, "toy"), Budget(20_000))}
    assert met == {space.canonical(cell) for cell in space if space.is_connected(cell)}


def test_the_last_level_too_is_as_wide_as_the_beam(toy: AccuracyTable) -> None:
    searcher = PNAS(space, np.random.default_rng(0), widen=False, beam=30, batch=5, surrogate="forest")
    cells = [step.cell for step in run(searcher, Table(toy, "toy"), Budget(200))]
    assert [space.level(cell) for cell in cells] == [1] * 4 + [2] * 30 + [3] * 30


def test_a_space_whose_first_level_is_all_ends_there() -> None:
    searcher = PNAS(BlockSpace(1), np.random.default_rng(0), beam=136, surrogate="forest")
    first = searcher.ask()
    for cell in first:
        searcher.tell(cell, 50.0 + len(str(cell)) / 10)
    assert len(first) == 136
    assert searcher.ask() == []


# the answer


def test_the_surrogate_s_own_answer_is_nearer_the_truth_than_a_noisy_figure() -> None:
    """Sixty cells, noise of two convolutions' worth, thirty times; a linear model, as the truth is linear."""
    rng = np.random.default_rng(0)
    by_signal, by_answer = [], []
    for _ in range(30):
        ranking = Ranking(space, rng, Ridge(1.0), code="one_hot")
        for cell in (space.sample(rng) for _ in range(60)):
            ranking.tell(cell, 40 + 5 * cell.ops.count("nor_conv_3x3") + rng.normal(0, 10))
        ranking.refit()
        answer = ranking.recommend()
        assert answer is not None
        by_answer.append(answer.ops.count("nor_conv_3x3"))
        by_signal.append(ranking.cells[int(np.argmax(ranking.accuracies))].ops.count("nor_conv_3x3"))
    assert np.mean(by_answer) > np.mean(by_signal) + 0.3


def test_answers_are_kept_in_the_steps_and_are_none_before_a_first_fit(toy: AccuracyTable) -> None:
    searcher = Spec.parse("pnas:surrogate=forest").make(space, np.random.default_rng(0))
    steps = list(run(searcher, Table(toy, "toy"), Budget(30)))
    assert [step.answer for step in steps[:4]] == [None] * 4
    assert all(step.answer is not None for step in steps[4:])
    kept = gather([(0, steps)])
    assert kept.answer[:4].tolist() == [-1] * 4
    assert [kept.cells[place] for place in kept.answer[4:]] == [str(step.answer) for step in steps[4:]]


def test_a_searcher_without_an_answer_of_its_own_keeps_none(toy: AccuracyTable) -> None:
    searcher = Spec.parse("random").make(space, np.random.default_rng(0))
    steps = list(run(searcher, Table(toy, "toy"), Budget(5)))
    assert gather([(0, steps)]).answer.tolist() == [-1] * 5


# ranking


def test_optimism_prefers_what_the_members_disagree_on() -> None:
    class Split:
        def fit(self, X: Array, y: Array) -> None:
            """Nothing to learn."""

        def predict(self, X: Array) -> Array:
            return np.asarray(self.members(X).mean(0))

        def members(self, X: Array) -> Array:
            """All cells are worth 50; the members disagree on those with a convolution on the first edge."""
            return np.stack([50 + sign * (X[:, 3] + 0.01) for sign in (-10, 10)])

    cells = [cell for cell in space.neighbours(BEST) if cell.ops[0] in ("nor_conv_3x3", "none")]
    ranking = Ranking(space, np.random.default_rng(0), Split(), explore="ucb", kappa=1.0)
    ranking.tell(BEST, 50.0)
    ranking.refit()
    first, last = ranking.order(cells, len(cells) - 1)
    assert {cell.ops[0] for cell in first} == {"nor_conv_3x3"}
    assert {cell.ops[0] for cell in last} == {"none"}
    drawn = Ranking(space, np.random.default_rng(0), Split(), explore="thompson")
    drawn.tell(BEST, 50.0)
    drawn.refit()
    leaders = {drawn.order(cells, 1)[0][0] for _ in range(50)}
    assert len(leaders) > 5, "a draw for each cell: not always the same one leads"


def test_a_cell_that_failed_to_train_is_left_out_of_the_fit() -> None:
    ranking = Ranking(space, np.random.default_rng(0), "forest")
    for cell, accuracy in zip(space.neighbours(BEST), (50.0, float("nan"), 60.0), strict=False):
        ranking.tell(cell, accuracy)
    ranking.refit()
    assert ranking.accuracies == [50.0, 60.0]
    assert ranking.recommend() == ranking.cells[1]


# what is refused


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pnas:beam=0", "beam must be at least 1, not 0"),
        ("pnas:batch=0", "batch must be at least 1, not 0"),
        ("pnas:tokens=edges", "tokens must be one of paths, operations, not 'edges'"),
        ("pnas:schedule=step", "schedule must be one of cosine, published, not 'step'"),
        (
            "pnas:surrogate=forest:tokens=operations",
            "tokens=operations and schedule=cosine take a surrogate of lstm, .*, not forest",
        ),
        ("pnas:surrogate=tree", "surrogate must be one of"),
        ("pnas:explore=often", "explore must be one of none, ucb, thompson, not 'often'"),
        ("pnas:kappa=-1", "kappa must be a number from 0"),
        ("pnas-ucb:surrogate=mlp", "no members"),
        ("smbo:initial=0", "initial and batch must be at least 1"),
        ("bananas:parents=0", "initial, batch and parents must be at least 1"),
        ("tpe:startup=0", "startup must be at least 1"),
        ("gp:startup=0", "startup must be at least 1"),
    ],
)
def test_a_wrong_option_is_told_by_its_name(text: str, message: str) -> None:
    with pytest.raises(InvalidOption, match=message):
        Spec.parse(text)


def test_a_budget_below_the_first_level_is_refused(toy: AccuracyTable) -> None:
    searcher = Spec.parse("pnas").make(space, np.random.default_rng(0))
    with pytest.raises(InvalidBudget, match="3 queries is less than the 4 queries that this searcher makes"):
        next(run(searcher, Table(toy, "toy"), Budget(3)))


def test_a_surrogate_that_predicts_nan_ends_the_search_with_its_name(toy: AccuracyTable) -> None:
    class Lost(Convolutions):
        def predict(self, X: Array) -> Array:
            return np.full(len(X), np.nan)

    searcher = PNAS(space, np.random.default_rng(0), surrogate=Lost())
    with pytest.raises(BadPrediction, match="surrogate Lost predicted 4 values that are not finite"):
        list(run(searcher, Table(toy, "toy"), Budget(30)))
