"""A cell is a value with one text; a wrong one cannot exist."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasgauge.spaces.cells import EDGES, ENCODINGS, OPERATIONS, Cell, InvalidCell
from nasgauge.spaces.nb201 import NB201

cells = st.tuples(*[st.sampled_from(OPERATIONS)] * len(EDGES)).map(Cell)


def test_every_cell_round_trips_through_its_text() -> None:
    space = list(NB201())
    assert [Cell.parse(str(cell)) for cell in space] == space
    assert len({str(cell) for cell in space}) == 15_625


@pytest.mark.parametrize("name", ENCODINGS)
def test_every_cell_round_trips_through_other_tools_codes(name: str) -> None:
    encoding = ENCODINGS[name]
    codes = [encoding.codes(cell) for cell in NB201()]
    assert len(set(codes)) == 15_625
    assert [encoding.cell(code) for code in codes] == list(NB201())


def test_naslib_and_official_orders_differ_in_edges_and_operations() -> None:
    cell = Cell(("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3", "none"))
    assert ENCODINGS["meco"].codes(cell) == (0, 1, 2, 3, 4, 0)
    # (0,1) none, (0,2) skip, (0,3) conv 3x3, (1,2) conv 1x1, (1,3) pool, (2,3) none
    assert ENCODINGS["naslib"].codes(cell) == (1, 0, 2, 3, 4, 1)


@given(cells)
def test_white_space_around_a_text_is_forgiven(cell: Cell) -> None:
    assert Cell.parse(f"  {cell}\n") == cell


@given(st.text(alphabet=string.printable, max_size=120))
def test_any_other_text_is_refused(text: str) -> None:
    try:
        cell = Cell.parse(text)
    except InvalidCell:
        return
    assert str(cell) == text.strip()


@given(cells, st.integers(0, 200), st.characters(codec="ascii"))
def test_a_changed_letter_is_another_cell_or_refused(cell: Cell, place: int, letter: str) -> None:
    text = str(cell)
    place %= len(text)
    changed = text[:place] + letter + text[place + 1 :]
    try:
        other = Cell.parse(changed)
    except InvalidCell:
        assert changed.strip() != text
    else:
        assert (other == cell) == (changed.strip() == text)


@pytest.mark.parametrize(
    ("ops", "complaint"),
    [
        (("conv",) * 6, "unknown operation 'conv'; choose from none, skip_connect"),
        (("none",) * 5, "a cell is a tuple of 6 operations"),
        (["none"] * 6, "a cell is a tuple of 6 operations"),
    ],
)
def test_wrong_operations_are_told(ops: tuple[str, ...], complaint: str) -> None:
    with pytest.raises((InvalidCell, TypeError)) as raised:
        Cell(ops)
    if raised.type is InvalidCell:
        assert complaint in str(raised.value)


@pytest.mark.parametrize("codes", [(0,) * 5, (5,) * 6, (-1,) * 6])
def test_wrong_codes_are_told(codes: tuple[int, ...]) -> None:
    with pytest.raises(InvalidCell, match="6 codes from 0 to 4"):
        ENCODINGS["naslib"].cell(codes)
