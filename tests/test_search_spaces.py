"""Search spaces by name, the DARTS space, and searches on them by real training."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from nasgauge.api.results import most_frequent
from nasgauge.cli import app
from nasgauge.cli.console import BadOption
from nasgauge.harness.records.steps import read
from nasgauge.harness.search.specs import InvalidOption, Spec, UnknownSpace, open_space
from nasgauge.searchers.pnas import PNAS
from nasgauge.spaces.architectures import PUBLISHED, architecture
from nasgauge.spaces.block_cells import BlockCell
from nasgauge.spaces.block_genotypes import Genotype
from nasgauge.spaces.block_spaces import BlockSpace
from nasgauge.spaces.genotype_spaces import GenotypeSpace

space = GenotypeSpace()


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("name", ["tenas-cifar10", "tenas-imagenet", "darts-v2", "pc-darts-cifar10"])
def test_published_genotypes_are_in_the_space(name: str) -> None:
    genotype = PUBLISHED[name]
    assert isinstance(genotype, Genotype)
    around = space.neighbours(genotype)
    assert len(set(around)) == len(around) == 2 * (8 * 6 + 2 + 5 + 9)
    assert {space.canonical(other) for other in around} > {space.canonical(n) for n in around[:1]}
    assert all(
        space.canonical(genotype) in map(space.canonical, space.neighbours(other)) for other in around[::17]
    )


def test_a_mutation_of_a_genotype_is_a_neighbour() -> None:
    draw = rng()
    genotype = space.sample(draw)
    assert all(space.mutate(genotype, draw) in space.neighbours(genotype) for _ in range(30))


def test_genotypes_that_differ_in_the_order_of_arms_are_one() -> None:
    genotype = PUBLISHED["pc-darts-cifar10"]
    assert isinstance(genotype, Genotype)
    turned = Genotype(genotype.normal[1::-1] + genotype.normal[2:], genotype.reduce)
    assert turned != genotype
    assert space.canonical(turned) == space.canonical(genotype)


def test_surrogates_read_genotypes() -> None:
    cells = [space.sample(rng()) for _ in range(3)]
    tokens = space.features(cells, "tokens").reshape(3, *space.layouts["tokens"][:2])
    assert tokens[..., :2].max() <= 5 < tokens[..., 2:].min()
    assert tokens.max() <= space.layouts["tokens"].vocabulary
    assert space.features(cells, "path").sum(1).tolist() == [16.0] * 3
    assert space.features(cells, "structure").shape == (3, 8 * 4 * 12 + 2 * 5 * 7)
    with pytest.raises(ValueError, match="unknown encoding 'bits'"):
        space.features(cells, "bits")  # type: ignore[arg-type]


def test_spaces_are_found_by_name() -> None:
    assert isinstance(open_space("darts"), GenotypeSpace)
    assert isinstance(open_space("pnas"), BlockSpace)
    assert len(open_space("pnas:blocks=3").decisions) == 12


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (
            "dart",
            UnknownSpace,
            "unknown space 'dart'; choose from darts, nb201, pnas, .*; did you mean darts",
        ),
        ("pnas:blocks=0", UnknownSpace, "space pnas: a cell needs at least one block, not 0"),
        ("pnas:cells=3", InvalidOption, "space pnas has no option 'cells'; its options: blocks"),
        ("pnas:blocks=x", InvalidOption, "space pnas: option blocks takes a value like 5, not 'x'"),
    ],
)
def test_a_space_that_cannot_be_opened_says_what_can(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        open_space(text)


@pytest.mark.parametrize(
    ("searcher", "name", "message"),
    [
        ("pnas", "darts", "the cells of this space do not grow; choose a searcher that is not progressive"),
        ("tenas", "pnas", "the stored searches are of NAS-Bench-201"),
    ],
)
def test_a_searcher_that_cannot_search_a_space_says_so(searcher: str, name: str, message: str) -> None:
    with pytest.raises(InvalidOption, match=message):
        Spec.of(searcher).make(open_space(name), rng())


def test_a_beam_narrower_than_the_first_level_keeps_its_best() -> None:
    blocks = BlockSpace(2)
    searcher = PNAS(blocks, rng(), beam=3, batch=3, surrogate="forest", widen=False)
    first = list(searcher.ask())
    assert len(first) == 136
    for place, cell in enumerate(first):
        searcher.tell(cell, float(place))
    second = list(searcher.ask())
    assert len(second) == 3
    assert {cell.blocks[:1] for cell in second} <= {cell.blocks for cell in first[-3:]}


@pytest.mark.torch
@pytest.mark.parametrize(
    ("searcher", "name", "kind"),
    [("pnas:surrogate=forest", "pnas:blocks=2", BlockCell), ("random", "darts", Genotype)],
)
def test_a_space_is_searched_by_real_training_and_its_best_cell_trained(
    searcher: str, name: str, kind: type, tmp_path: Path
) -> None:
    """The command line, with a budget of one cell."""
    if searcher.startswith("pnas"):
        pytest.importorskip("sklearn")
    out = tmp_path / "found"
    common = ("-d", "made-up", "-r", "tiny", "--device", "cpu")
    command = [
        "search",
        searcher,
        "--space",
        name,
        "--oracle",
        "train",
        "--seeds",
        "1",
        "--budget",
        "4 epochs",
    ]
    run(*command, *common, "--out", str(out))
    (path,) = out.glob("*.parquet")
    record = read(path)
    assert record.header.table == f"trained by tiny, space {name}"
    assert {type(architecture(text)) for text in record.steps.cells} == {kind}
    (best,) = most_frequent(out, 1)
    assert isinstance(best, kind)
    trained = tmp_path / "trained"
    run("train", "--top", "1", "--from", str(out), "--epochs", "1", *common, "--out", str(trained))
    assert len(list(trained.glob("*.parquet"))) == 1


def test_a_table_has_cells_of_one_space() -> None:
    with pytest.raises(
        BadOption, match="--space does nothing where cells are looked up; leave it out, or add --oracle train"
    ):
        run("search", "random", "--space", "pnas")


def run(*arguments: str) -> None:
    """A command in this process; its errors are raised."""
    CliRunner().invoke(app, arguments, catch_exceptions=False)
