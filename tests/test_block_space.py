"""The space of the PNAS paper: blocks, their order, how cells grow, and what predictors see of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasgauge.spaces.block_cells import OPERATORS, Arm, BlockCell
from nasgauge.spaces.block_spaces import BlockSpace
from nasgauge.spaces.cells import InvalidCell

space = BlockSpace()
PNASNET_5 = BlockCell.parse(
    "sep_conv_5x5(h2)+max_pool_3x3(h2) | sep_conv_7x7(h1)+max_pool_3x3(h1) | sep_conv_5x5(h1)+sep_conv_3x3(h1)"
    " | sep_conv_3x3(b3)+max_pool_3x3(h1) | sep_conv_3x3(h2)+identity(h1)"
)


@st.composite
def cells(draw: st.DrawFn) -> BlockCell:
    blocks = []
    for place in range(draw(st.integers(1, 5))):
        arms = st.builds(Arm, st.integers(0, place + 1), st.sampled_from(OPERATORS))
        blocks.append((draw(arms), draw(arms)))
    return BlockCell(tuple(blocks))


@given(cells())
def test_the_text_of_a_cell_reads_back(cell: BlockCell) -> None:
    assert BlockCell.parse(str(cell)) == cell


@given(cells())
def test_the_order_of_a_block_s_arms_does_not_matter(cell: BlockCell) -> None:
    turned = BlockCell(tuple((other, one) for one, other in cell.blocks))
    assert turned == cell
    assert hash(turned) == hash(cell)
    assert str(turned) == str(cell)


def test_each_place_has_as_many_different_blocks_as_the_paper_counts() -> None:
    cell, counts = None, []
    for _ in range(5):
        children = space.grow(cell)
        counts.append(len(children))
        cell = children[0]
    assert counts == [136, 300, 528, 820, 1176]
    assert space.grow(cell) == ()


def test_a_child_is_its_parent_with_one_block_more() -> None:
    parent = BlockCell(PNASNET_5.blocks[:3])
    children = space.grow(parent)
    assert len(set(children)) == len(children)
    assert all(child.blocks[:3] == parent.blocks for child in children)
    assert BlockCell(PNASNET_5.blocks[:4]) in children
    assert {space.level(child) for child in children} == {4}


def test_two_blocks_that_do_not_read_each_other_may_change_places() -> None:
    """136 first blocks and as many equal second ones: each pair of different ones is met twice."""
    two = [child for one in space.grow(None) for child in space.grow(one)]
    free = [cell for cell in two if all(arm.source < 2 for arm in cell.blocks[1])]
    assert len(two) == 40_800
    assert len(free) == 136 * 136
    assert len({space.canonical(cell) for cell in free}) == 136 * 137 // 2
    assert len({space.canonical(cell) for cell in two}) == 40_800 - 136 * 135 // 2


def test_the_canonical_text_follows_a_block_to_its_new_place() -> None:
    one = BlockCell.parse(
        "identity(h1)+identity(h2) | avg_pool_3x3(h1)+identity(h1) | identity(b1)+identity(h1)"
    )
    other = BlockCell.parse(
        "avg_pool_3x3(h1)+identity(h1) | identity(h1)+identity(h2) | identity(b2)+identity(h1)"
    )
    third = BlockCell.parse(
        "avg_pool_3x3(h1)+identity(h1) | identity(h1)+identity(h2) | identity(b1)+identity(h1)"
    )
    assert space.canonical(one) == space.canonical(other) != space.canonical(third)


def test_neighbours_differ_in_one_decision_and_find_back() -> None:
    around = space.neighbours(PNASNET_5)
    assert len(set(around)) == len(around)
    assert PNASNET_5 not in around
    assert all(PNASNET_5 in space.neighbours(cell) for cell in around)


def test_sampling_is_uniform_over_different_blocks() -> None:
    rng = np.random.default_rng(0)
    small = BlockSpace(1)
    drawn = [small.sample(rng) for _ in range(136 * 40)]
    counts = [drawn.count(cell) for cell in small.grow(None)]
    assert min(counts) > 10
    assert max(counts) < 80


def test_a_mutation_is_a_neighbour() -> None:
    rng = np.random.default_rng(0)
    assert all(space.mutate(PNASNET_5, rng) in space.neighbours(PNASNET_5) for _ in range(20))


def test_decisions_make_every_cell() -> None:
    choices = []
    for one, other in PNASNET_5.blocks:
        choices += [one.source, other.source, OPERATORS.index(one.operator), OPERATORS.index(other.operator)]
    assert space.decide(tuple(choices)) == PNASNET_5
    assert all(choice < options for choice, options in zip(choices, space.decisions, strict=True))


def test_predictors_see_four_tokens_a_block_and_zeros_for_blocks_that_are_not_there() -> None:
    small = BlockCell(PNASNET_5.blocks[:2])
    tokens = space.features([PNASNET_5, small], "tokens").reshape(2, *space.layouts["tokens"][:2])
    assert (tokens[0] > 0).all()
    assert (tokens[1, 2:] == 0).all()
    assert (tokens[0, :2] == tokens[1, :2]).all()
    assert tokens.max() <= space.layouts["tokens"].vocabulary
    inputs = 6
    assert tokens[..., :2].max() <= inputs < tokens[0, :, 2:].min()
    assert space.features([small], "path").sum() == 4
    assert space.features([small], "one_hot").sum() == 8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("identity(h1)", "malformed block"),
        ("identity(h1)+conv(h2)", "unknown operator 'conv'; choose from sep_conv_3x3"),
        ("identity(b1)+identity(h2)", "block 1 reads b1; it may read h1, h2"),
        ("identity(h1)+identity(h2) | identity(b2)+identity(h1)", "block 2 reads b2; it may read h1, h2, b1"),
        ("", "malformed block"),
    ],
)
def test_a_wrong_cell_cannot_exist(text: str, message: str) -> None:
    with pytest.raises(InvalidCell, match=message):
        BlockCell.parse(text)


def test_a_wrong_code_or_progression_is_told() -> None:
    with pytest.raises(ValueError, match="unknown progression 'nodes'; choose from blocks"):
        space.grow(None, "nodes")
    with pytest.raises(ValueError, match="unknown encoding 'bits'"):
        space.features([PNASNET_5], "bits")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least one block, not 0"):
        BlockSpace(0)
