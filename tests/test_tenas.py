"""TE-NAS's search on judges whose answers are known, and the judge on real networks."""

import json
import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch

from nasgauge.data.images import open_images
from nasgauge.harness.proxies.judge import Judge
from nasgauge.searchers.pruning import (
    NB201_SUPERNET,
    PRESETS,
    Choices,
    Comparison,
    Removal,
    Settings,
    cell_of,
    prune,
    rank,
    without,
)
from nasgauge.searchers.tenas import TENAS, stored, to_json
from nasgauge.spaces.cells import OPERATIONS, Cell
from nasgauge.spaces.nb201 import NB201

QUICK = Settings(
    batch=4,
    region_samples=50,
    repeats=2,
    fresh_weights=True,
    kappa_initialisation="kaiming_fan_out",
    region_initialisation="kaiming_fan_in",
)


def compared(kappa: float, regions: float) -> Comparison:
    """A network against one of kappa 100 and 1,000 regions."""
    return Comparison((100.0,), (kappa,), (1000.0,), (regions,))


def by_operation(full: Choices, candidates: Sequence[Choices]) -> list[Comparison]:
    """The fewer 3x3 convolutions, the more kappa and the fewer regions: so they should stay."""

    def convolutions(choices: Choices) -> float:
        return 1.0 + sum(OPERATIONS.index(op) == 3 for mix in choices for op in mix)

    have = convolutions(full)
    return [Comparison((1 / have,), (1 / convolutions(c),), (have,), (convolutions(c),)) for c in candidates]


# --- the ranking


def test_what_lowers_kappa_and_costs_no_regions_is_pruned_first() -> None:
    order = rank({"worst": compared(200, 500), "best": compared(50, 990), "middle": compared(100, 900)})
    assert order == ["best", "middle", "worst"]


def test_ranks_are_added_not_changes() -> None:
    """A huge gain in kappa counts for one rank only."""
    order = rank({"a": compared(1, 700), "b": compared(90, 800), "c": compared(95, 900)})
    assert order == ["a", "b", "c"]  # 0 + 2, 1 + 1, 2 + 0: equal sums keep kappa's order


def test_changes_are_rounded_to_three_decimals_for_each_repeat() -> None:
    assert rank({"a": compared(99.96, 900), "b": compared(99.99, 950)}) == ["b", "a"]  # 0.000 both


def test_equal_means_share_a_rank() -> None:
    """With ranks 0, 0, 1 in kappa, regions decide between the first two, and the third is close behind."""
    order = rank({"a": compared(50, 800), "b": compared(50, 900), "c": compared(60, 950)})
    assert order == ["b", "c", "a"]  # 0 + 1, 1 + 0, 0 + 2


def test_nearly_equal_means_are_sorted_alike_but_ranked_apart() -> None:
    """Sorted by three significant digits, so in the order given; ranked apart, since the means differ."""
    three = {"a": (0.1, 0.1), "b": (0.1, 0.101), "c": (0.1, 0.1)}
    comparisons = {
        key: Comparison((100.0,) * 3, tuple(100 * (1 - c) for c in (*changes, 0.1)), (1.0,) * 3, (1.0,) * 3)
        for key, changes in three.items()
    }
    assert rank(comparisons) == ["a", "b", "c"]


def test_undefined_changes_are_pruned_last() -> None:
    """A kernel without rank, and one with a zero eigenvalue, are what no pruning should lead to."""
    order = rank({"nan": compared(math.nan, 900), "inf": compared(math.inf, 900), "fine": compared(500, 900)})
    assert order[0] == "fine"


# --- the loop


def test_three_rounds_test_54_operations_and_end_in_one_cell() -> None:
    asked: list[int] = []

    def judge(full: Choices, candidates: Sequence[Choices]) -> list[Comparison]:
        asked.append(len(candidates))
        return by_operation(full, candidates)

    search = prune(judge)
    assert asked == [24, 18, 12]
    assert cell_of(search.choices) == Cell(("nor_conv_3x3",) * 6)


def test_each_round_takes_one_operation_from_every_edge() -> None:
    search = prune(by_operation)
    states = [NB201_SUPERNET, *(step.choices for step in search.rounds)]
    for before, after in pairwise(states):
        assert [len(a) - len(b) for a, b in zip(before, after, strict=True)] == [1] * 6
    assert [len(step.removed) for step in search.rounds] == [6, 6, 6]
    assert [step.kappa for step in search.rounds] == [1 / 7] * 3
    assert search.seconds == sum(step.seconds for step in search.rounds)


def test_pruning_two_a_round_leaves_at_least_one() -> None:
    search = prune(by_operation, per_round=2)
    assert [len(step.removed) for step in search.rounds] == [12, 6]
    assert cell_of(search.choices) == Cell(("nor_conv_3x3",) * 6)


def test_edges_that_are_decided_are_left_alone() -> None:
    start = (("skip_connect",), *NB201_SUPERNET[1:])
    seen: list[Choices] = []

    def judge(full: Choices, candidates: Sequence[Choices]) -> list[Comparison]:
        seen.extend(candidates)
        return by_operation(full, candidates)

    assert cell_of(prune(judge, start).choices) == Cell(("skip_connect", *("nor_conv_3x3",) * 5))
    assert {choices[0] for choices in seen} == {("skip_connect",)}


# --- the judge


def test_the_judge_compares_as_many_as_it_is_given_and_repeats_itself() -> None:
    smaller = [without(NB201_SUPERNET, Removal(0, op)) for op in OPERATIONS[1:3]]
    first = Judge(QUICK, 0, images=open_images())(NB201_SUPERNET, smaller)
    assert len(first) == 2
    assert first == Judge(QUICK, 0, images=open_images(), workers=2)(NB201_SUPERNET, smaller)
    assert first != Judge(QUICK, 1, images=open_images())(NB201_SUPERNET, smaller)
    assert all(len(figures) == 2 and np.isfinite(figures).all() for c in first for figures in c)
    assert first[0].full_kappa == first[1].full_kappa  # made once for a repeat


def test_a_candidate_is_the_supernet_with_the_same_weights() -> None:
    (same,) = Judge(QUICK, 0, images=open_images())(NB201_SUPERNET, [NB201_SUPERNET])
    assert same.kappa == same.full_kappa
    assert same.regions == same.full_regions


def test_the_public_code_keeps_its_weights_between_repeats() -> None:
    """With the same images, repeats with kept weights could not differ; with fresh ones they do."""
    kept = Settings(**{**QUICK.__dict__, "fresh_weights": False})
    (fresh,), (released,) = (
        Judge(settings, 0)(NB201_SUPERNET, [NB201_SUPERNET]) for settings in (QUICK, kept)
    )
    assert fresh.full_kappa[0] == released.full_kappa[0]
    assert fresh.full_kappa[1] != released.full_kappa[1]


def test_threads_are_given_back() -> None:
    before = torch.get_num_threads()
    Judge(QUICK, 0, workers=2)(NB201_SUPERNET, [])
    assert torch.get_num_threads() == before


def test_a_search_on_noise_and_on_images_ends_in_a_cell() -> None:
    tiny = Settings(**{**QUICK.__dict__, "repeats": 1, "batch": 2})
    start = (*(mix[1:3] for mix in NB201_SUPERNET[:2]), *(("skip_connect",),) * 4)
    for images in (None, open_images()):
        search = prune(Judge(tiny, 0, images=images), start)
        assert set(cell_of(search.choices).ops[:2]) <= {"nor_conv_1x1", "nor_conv_3x3"}


# --- as a searcher


def test_the_searcher_asks_for_one_cell_and_stops() -> None:
    searcher = TENAS(NB201(), np.random.default_rng(0))
    (cell,) = searcher.ask()
    searcher.tell(cell, 90.0)
    assert searcher.ask() == []
    assert searcher.search is not None
    assert str(cell) == searcher.search.cell


def test_stored_searches_are_whole() -> None:
    searches = stored()
    assert len(searches) >= 4
    assert {search.preset for search in searches} <= set(PRESETS)
    assert [search.seed for search in searches] == list(range(len(searches)))
    for search in searches:
        removed = [tuple(pair) for step in search.rounds for pair in step["removed"]]
        assert len(removed) == len(set(removed)) == 18
        left = [next(op for op in OPERATIONS[1:] if (edge, op) not in removed) for edge in range(6)]
        assert Cell.parse(search.cell) == Cell(tuple(left))
        assert search.seconds > 1


def test_searches_are_written_as_they_are_read() -> None:
    block = json.loads(to_json({0: prune(by_operation)}, "paper", PRESETS["paper"], images="sample"))
    assert "made before" in block["stored"]
    assert block["searches"][0]["cell"] == str(Cell(("nor_conv_3x3",) * 6))
    assert block["settings"]["batch"] == 32
