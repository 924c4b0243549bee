"""NAS-Bench-201 as a space: known counts, and the laws that searchers rely on."""

import csv
from collections import Counter, defaultdict
from pathlib import Path

import networkx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasgauge.spaces.cells import EDGES, OPERATIONS, Cell
from nasgauge.spaces.nb201 import NB201

space = NB201()
ranks = st.integers(0, len(space) - 1)


def test_iteration_is_by_rank_and_complete() -> None:
    assert [cell.rank for cell in space] == list(range(15_625))
    assert [cell.ops for cell in space] == sorted(
        (c.ops for c in space), key=lambda ops: [OPERATIONS.index(o) for o in ops]
    )


def test_sampling_is_uniform() -> None:
    rng = np.random.default_rng(0)
    drawn = Counter(space.sample(rng).ops[2] for _ in range(5000))
    assert all(abs(drawn[op] - 1000) < 4 * np.sqrt(5000 * 0.2 * 0.8) for op in OPERATIONS)


@given(ranks)
def test_neighbours_are_the_24_cells_one_edge_away(rank: int) -> None:
    cell = space[rank]
    neighbours = space.neighbours(cell)
    assert len(set(neighbours)) == len(neighbours) == 24
    assert all(sum(a != b for a, b in zip(cell.ops, other.ops, strict=True)) == 1 for other in neighbours)
    assert all(cell in space.neighbours(other) for other in neighbours)


@given(ranks, st.integers(0, 2**32))
def test_a_mutation_is_a_neighbour(rank: int, seed: int) -> None:
    cell = space[rank]
    assert space.mutate(cell, np.random.default_rng(seed)) in space.neighbours(cell)


def test_mutation_draws_a_node_then_one_of_its_edges() -> None:
    rng = np.random.default_rng(1)
    cell = space[7_000]
    changed = Counter(
        next(e for e, (a, b) in enumerate(zip(cell.ops, space.mutate(cell, rng).ops, strict=True)) if a != b)
        for _ in range(18_000)
    )
    expected = [6000, 3000, 3000, 2000, 2000, 2000]
    assert all(abs(changed[edge] - n) < 5 * np.sqrt(n) for edge, n in enumerate(expected))


def test_341_cells_have_no_path() -> None:
    assert sum(not space.is_connected(cell) for cell in space) == 341


@given(ranks)
def test_connected_is_what_a_graph_library_says(rank: int) -> None:
    cell = space[rank]
    graph = networkx.DiGraph(edge for edge, op in zip(EDGES, cell.ops, strict=True) if op != "none")
    graph.add_nodes_from((0, 3))
    assert space.is_connected(cell) == networkx.has_path(graph, 0, 3)


def test_6466_structural_classes() -> None:
    assert len({space.canonical(cell) for cell in space}) == 6466


def test_canonical_texts_are_the_public_export_s(shared: Path) -> None:
    with (shared / "nats_bench.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 15_625
    theirs: dict[str, set[Cell]] = defaultdict(set)
    ours: dict[str, set[Cell]] = defaultdict(set)
    for row in rows:
        cell = Cell.parse(row["ArchitectureString"])
        theirs[row["UniqueString"]].add(cell)
        ours[space.canonical(cell)].add(cell)
    assert sorted(map(sorted, theirs.values())) == sorted(map(sorted, ours.values()))


def test_cells_of_a_class_have_the_same_operations_along_their_paths() -> None:
    """Sound, not complete: the benchmark writes zeros into its texts, so some equal networks differ."""
    routes = ((3,), (0, 4), (1, 5), (0, 2, 5))

    def paths(cell: Cell) -> list[tuple[str, ...]]:
        ways = [tuple(cell.ops[edge] for edge in route) for route in routes]
        return sorted(tuple(op for op in way if op != "skip_connect") for way in ways if "none" not in way)

    by_class: dict[str, list[tuple[str, ...]]] = {}
    for cell in space:
        assert by_class.setdefault(space.canonical(cell), paths(cell)) == paths(cell)


@given(ranks)
def test_one_hot_encoding_is_invertible(rank: int) -> None:
    features = space.encode(space[rank])
    assert features.shape == (30,)
    assert space.decide(tuple(features.reshape(6, 5).argmax(1).tolist())) == space[rank]


def test_path_encoding_counts_operation_sequences() -> None:
    cell = Cell(("nor_conv_3x3",) * 6)
    assert space.encode(cell, "path").shape == (84,)
    assert space.encode(cell, "path").sum() == 3  # one, two and three convolutions in a row
    assert space.encode(Cell(("none",) * 6), "path").sum() == 0
    assert all(
        (space.encode(space[rank], "path").sum() > 0) == space.is_connected(space[rank])
        for rank in range(0, 15_625, 97)
    )


def test_an_unknown_encoding_is_told() -> None:
    with pytest.raises(ValueError, match="choose from one_hot, path"):
        space.encode(space[0], "picture")  # type: ignore[arg-type]
