"""The searcher: the laws of nasgauge, its trajectory, its quality, and what is its own."""

import numpy as np
import pytest
from nasgauge_annealing.searcher import Annealing

import nasgauge as ng
from nasgauge.pytest_plugin import conformance
from nasgauge.spaces.nb201 import NB201

test_it_keeps_the_laws = conformance("annealing")  # one test case for each law


def test_search_is_not_worse(nasgauge_gate):
    nasgauge_gate("annealing", speed=False)


def test_the_trajectory_is_unchanged(nasgauge_golden):
    nasgauge_golden("annealing")


def test_without_heat_it_never_accepts_a_worse_cell():
    searcher = Annealing(NB201(), np.random.default_rng(0), temperature=1e-9)
    (first,) = searcher.ask()
    searcher.tell(first, 90.0)
    for _ in range(20):
        (cell,) = searcher.ask()
        assert sum(a != b for a, b in zip(cell.ops, first.ops, strict=True)) == 1
        searcher.tell(cell, 89.0)


@pytest.mark.parametrize("options", [{"temperature": 0.0}, {"cooling": 1.5}])
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(ValueError, match="must be"):
        Annealing(NB201(), np.random.default_rng(0), **options)


def test_it_is_found_by_its_name():
    results = ng.bench(
        ["random", "annealing"], dataset="cifar10", seeds=10, budget=100, workers=1, progress=False
    )
    ends = results.summary().set_index("searcher")
    assert set(ends.index) == {"annealing", "random"}
