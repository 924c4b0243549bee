"""Architectures as values: one text each, published forms, names, and errors that say what is allowed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasgauge.spaces.architectures import PUBLISHED, UnknownArchitecture, architecture, short_name
from nasgauge.spaces.block_cells import OPERATORS, Arm, BlockCell
from nasgauge.spaces.block_genotypes import ALL_OPERATIONS, Genotype, InvalidGenotype
from nasgauge.spaces.cells import Cell, InvalidCell

PNAS_PYTORCH = (  # as chenxi116/PNASNet.pytorch writes it: input 0 is the cell before the previous one
    "Genotype(normal=[('sep_conv_5x5', 0), ('max_pool_3x3', 0), ('sep_conv_7x7', 1), ('max_pool_3x3', 1), "
    "('sep_conv_5x5', 1), ('sep_conv_3x3', 1), ('sep_conv_3x3', 4), ('max_pool_3x3', 1), ('sep_conv_3x3', 0), "
    "('skip_connect', 1)], normal_concat=[2, 3, 4, 5, 6], reduce=[('sep_conv_5x5', 0), ('max_pool_3x3', 0), "
    "('sep_conv_7x7', 1), ('max_pool_3x3', 1), ('sep_conv_5x5', 1), ('sep_conv_3x3', 1), ('sep_conv_3x3', 4), "
    "('max_pool_3x3', 1), ('sep_conv_3x3', 0), ('skip_connect', 1)], reduce_concat=[2, 3, 4, 5, 6])"
)


@st.composite
def arms(draw: st.DrawFn) -> tuple[tuple[str, int], ...]:
    return tuple(
        (draw(st.sampled_from(ALL_OPERATIONS)), draw(st.integers(0, 1 + place // 2)))
        for place in range(2 * draw(st.integers(1, 5)))
    )


@given(arms(), arms())
def test_the_text_of_a_genotype_reads_back(
    normal: tuple[tuple[str, int], ...], reduce: tuple[tuple[str, int], ...]
) -> None:
    last = 1 + len(normal) // 2
    genotype = Genotype(normal, reduce, normal_concat=(last,))
    assert architecture(str(genotype)) == genotype


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_architecture_is_its_text_and_its_name(name: str) -> None:
    assert architecture(name) == architecture(str(PUBLISHED[name])) == PUBLISHED[name]
    assert short_name(PUBLISHED[name]) == name


def test_pnasnet_5_is_read_in_either_form() -> None:
    genotype = Genotype.parse(PNAS_PYTORCH)
    assert genotype.blocks() == PUBLISHED["pnasnet5"]
    assert Genotype.of(genotype.blocks()).blocks() == genotype.blocks()


def test_every_operator_has_a_name_in_both_forms() -> None:
    blocks = tuple((Arm(0, operator), Arm(1, operator)) for operator in OPERATORS)
    assert Genotype.of(BlockCell(blocks)).blocks() == BlockCell(blocks)


def test_ranges_and_lists_are_the_same() -> None:
    text = str(PUBLISHED["darts-v2"])
    assert architecture(text.replace("[2, 3, 4, 5]", "range(2, 6)")) == PUBLISHED["darts-v2"]


def test_names_of_files_tell_architectures_apart() -> None:
    one = BlockCell.parse("identity(h1)+identity(h2)")
    names = {short_name(one), short_name(Genotype.of(one)), short_name(Cell(("none",) * 6))}
    assert len(names) == 3
    assert all(name.replace("-", "").isalnum() for name in names)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("pnasnet", UnknownArchitecture, "unknown architecture 'pnasnet'.*did you mean pnasnet5"),
        ("|conv~0|", InvalidCell, "malformed cell"),
        ("conv(h1)+identity(h2)", InvalidCell, "unknown operator 'conv'; choose from sep_conv_3x3"),
        (
            "Genotype(normal=[('none', 0), ('skip_connect', 1)], reduce=[('skip_connect', 0)] * 2)",
            InvalidGenotype,
            "malformed",
        ),
        (
            "Genotype(normal=[('none', 0), ('skip_connect', 1)], reduce=[('skip_connect', 0), ('skip_connect', 1)])",
            InvalidGenotype,
            "unknown operation 'none' in normal; choose from skip_connect",
        ),
        (
            "Genotype(normal=[('skip_connect', 0), ('skip_connect', 1)], reduce=[('skip_connect', 0), ('skip_connect', 2)])",
            InvalidGenotype,
            "arm 1 of reduce reads 2; node 2 may read 0 to 1",
        ),
        (
            "Genotype(normal=[('skip_connect', 0)], reduce=[])",
            InvalidGenotype,
            "normal has 1 arms; give two for each",
        ),
        ("Genotype(normal=[], reduce=[], concat=[2])", InvalidGenotype, "a genotype has no concat"),
        ("Genotype(reduce=[])", InvalidGenotype, "malformed genotype"),
        ("Genotype(normal=__import__('os'), reduce=[])", InvalidGenotype, "malformed genotype"),
    ],
)
def test_a_wrong_text_is_refused_in_one_line(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        architecture(text)
    assert "\n" not in str(caught.value)


def test_a_wrong_concatenation_is_refused() -> None:
    arms = (("skip_connect", 0), ("skip_connect", 1))
    for concat in ((1,), (3,), (2, 2)):
        with pytest.raises(InvalidGenotype, match="must name different nodes from 2 to 2"):
            Genotype(arms, arms, normal_concat=concat)


def test_two_different_cells_are_not_one() -> None:
    genotype = PUBLISHED["darts-v2"]
    assert isinstance(genotype, Genotype)
    with pytest.raises(InvalidGenotype, match="the normal and the reduction cell differ"):
        genotype.blocks()
    with pytest.raises(InvalidCell, match="unknown operator 'dil_conv_5x5'"):
        Genotype(
            (("dil_conv_5x5", 0), ("skip_connect", 1)), (("dil_conv_5x5", 0), ("skip_connect", 1))
        ).blocks()
