"""The table `transnas` and its space: rebuilt from its source, known answers, and searched by every searcher."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from nasgauge.cli import app
from nasgauge.data.importers import ImportFailed, import_transnas
from nasgauge.data.plugins import built_in
from nasgauge.data.shipped import MANIFEST, TRANSNAS
from nasgauge.data.sources import open_table
from nasgauge.data.tables import AccuracyTable, NotInTable
from nasgauge.harness.records.steps import Evaluation
from nasgauge.harness.search.oracle import Table
from nasgauge.harness.search.reference import reference
from nasgauge.harness.search.runner import Budget, run
from nasgauge.harness.search.specs import Spec
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.fidelities import At
from nasgauge.spaces.nb201 import TransNAS

SOURCE = Path(__file__).resolve().parents[2] / "shared" / "transnas"
POOLS = Cell(("avg_pool_3x3",) * 6)
space = TransNAS()


@pytest.fixture(scope="module")
def table() -> AccuracyTable:
    return open_table("transnas")


# The table


def test_the_table_is_rebuilt_byte_for_byte(tmp_path: Path) -> None:
    if not SOURCE.is_dir():
        pytest.skip("the export all_benchmarks_zen.zip is not there")
    done = CliRunner().invoke(
        app, ["data", "build", "-t", "transnas", "--from", str(SOURCE), "-o", str(tmp_path)]
    )

    assert done.exit_code == 0, done.output
    for name in (TRANSNAS.file, MANIFEST):
        assert (tmp_path / name).read_bytes() == (TRANSNAS.folder / name).read_bytes()


def test_cells_without_a_path_are_as_bad_as_guessing(table: AccuracyTable) -> None:
    """The known answer that tells the order of the edges: 169 cells, all at the lowest value of class_scene."""
    scene = table.column(table.view("class_scene").search)
    unconnected = [cell.rank for cell in space if not space.is_connected(cell)]

    assert len(unconnected) == 169
    assert np.unique(scene[unconnected]).round(3).tolist() == [7.484] == [np.nanmin(scene).round(3)]


@pytest.mark.parametrize(
    ("task", "best"), [("class_object", 45.59), ("class_scene", 54.94), ("jigsaw", 95.37)]
)
def test_the_best_figures_are_the_source_s(table: AccuracyTable, task: str, best: float) -> None:
    assert np.nanmax(table.column(table.view(task).report)) == pytest.approx(best, abs=0.005)


def test_cells_with_pools_are_not_in_it(table: AccuracyTable) -> None:
    for view in table.views.values():
        assert np.isfinite(table.column(view.report)).sum() == 4096
    with pytest.raises(NotInTable, match="not in the table's space"):
        Table(table, "jigsaw").evaluate(POOLS)


def test_it_says_that_it_reports_what_it_shows(table: AccuracyTable) -> None:
    assert table.view("normal").warning == (
        "one value for each cell: the search metric is the reported valid figure itself"
    )


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"no archive")
    with pytest.raises(ImportFailed, match="is not the export"):
        import_transnas({"x": tmp_path / "x.zip"})


def test_random_search_draws_from_the_space_alone(table: AccuracyTable) -> None:
    """Its curve begins at the mean of the 4,096 cells."""
    oracle = Table(table, "autoencoder")
    found = reference(oracle, Budget.parse("10"))

    assert found.random.mean[0] == pytest.approx(float(np.nanmean(oracle.test)))
    assert Cell.parse(found.optimum_cell) in space


# The space


def test_choices_and_cells_are_one_to_one() -> None:
    cells = {
        space.decide(tuple(map(int, np.unravel_index(place, space.decisions)))) for place in range(len(space))
    }
    assert cells == set(space)


def test_no_way_leads_out_of_the_space() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        cell = space.sample(rng)
        assert space.mutate(cell, rng) in space
        assert set(space.neighbours(cell)) <= set(space)
    assert len(space.neighbours(space[7])) == 18
    for by in space.progressions:
        smallest = space.grow(None, by)
        assert smallest
        assert set(smallest) <= set(space)
        for cell in smallest:
            assert set(space.grow(cell, by)) <= set(space)


class AtAnyLength(Table):
    """The table's one figure, however long a searcher wants its cells trained."""

    def evaluate(self, cell: Cell | At[Cell]) -> Evaluation:
        return super().evaluate(cell.cell if isinstance(cell, At) else cell)


@pytest.mark.parametrize("name", sorted(set(built_in("nasgauge.searchers")) - {"tenas"}))
def test_every_searcher_searches_it_unchanged(name: str, table: AccuracyTable) -> None:
    searcher = Spec.parse(name).make(space, np.random.default_rng(0))
    steps = list(run(searcher, AtAnyLength(table, "class_scene"), Budget(60)))

    assert len(steps) == 60
    asked: list[Any] = [step.cell for step in steps]
    assert {one.cell if isinstance(one, At) else one for one in asked} <= set(space)
    assert max(step.evaluation.validation for step in steps) > 53.5
