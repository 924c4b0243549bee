"""TE-NAS's search on judges whose answers are known, and the judge on real networks."""

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nasgauge.cli.tenas import tenas
from nasgauge.data.images import ImageSet, open_images
from nasgauge.harness.proxies.judge import NB201_NETWORKS, Judge, Known
from nasgauge.harness.search.units import generators
from nasgauge.searchers.pruning import (
    NB201_SUPERNET,
    PRESETS,
    Choices,
    Comparison,
    Removal,
    Settings,
    UnknownRule,
    cell_of,
    prune,
    rank,
    without,
)
from nasgauge.searchers.tenas import (
    SHIPPED,
    TENAS,
    OtherSearches,
    SearchFile,
    StoredSearch,
    UnreadableSearches,
    stored,
)
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


@pytest.mark.parametrize(
    ("rule", "order"),
    [
        (
            "rank-sum",
            "abc",
        ),  # ranks in kappa 0, 1, 2, 3 and in regions 1, 0, 3, 2: equal sums keep kappa's order
        ("kappa", "abcd"),
        ("regions", "badc"),
        ("min-rank", "abcd"),  # 0, 0, 2, 2
        ("max-rank", "abcd"),  # 1, 1, 3, 3
        ("raw-sum", "badc"),  # -.5 - .1 and so on: the losses of regions are larger
        ("absolute", "abcd"),
    ],
)
def test_each_rule_has_its_own_order(rule: str, order: str) -> None:
    four = {
        "a": compared(90, 700),
        "b": compared(91, 900),
        "c": compared(92, 300),
        "d": compared(93, 500),
    }
    assert "".join(rank(four, rule))[: len(order)] == order


def test_absolute_changes_are_neither_rounded_nor_relative() -> None:
    """A repeat with a large kappa decides the absolute mean, and changes below three decimals still differ."""
    steep = Comparison((1000.0, 10.0), (900.0, 10.0), (1000.0,) * 2, (900.0,) * 2)  # 100 and 0: .1 and 0
    even = Comparison((1000.0, 10.0), (950.0, 8.0), (1000.0,) * 2, (900.0,) * 2)  # 50 and 2: .05 and .2
    assert rank({"even": even, "steep": steep}, "kappa") == ["even", "steep"]
    assert rank({"even": even, "steep": steep}, "absolute") == ["steep", "even"]  # 1 + 0, 0 + 1: a tie
    assert rank({"a": compared(99.99, 900), "b": compared(99.96, 900)}, "absolute")[0] == "b"


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(UnknownRule, match="unknown rule 'sum'; choose from rank-sum, kappa"):
        rank({"a": compared(1, 1)}, "sum")


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
    assert search.states[0] == NB201_SUPERNET
    for before, after in pairwise(search.states):
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


def test_the_judge_tells_of_each_kernel() -> None:
    told = list[tuple[int, int]]()
    judge = Judge(QUICK, 0, workers=2)
    judge.on_kernel = lambda computed, of: told.append((computed, of))
    judge(NB201_SUPERNET, [without(NB201_SUPERNET, Removal(0, op)) for op in OPERATIONS[1:3]])
    assert sorted(told) == [(place, 6) for place in range(1, 7)]


def test_rules_share_what_they_measure_and_are_charged_for_it() -> None:
    """The first round is the same for all; kappa alone needs no regions of candidates, and regions no kappa."""
    smaller = [without(NB201_SUPERNET, Removal(0, op)) for op in OPERATIONS[1:3]]
    known: Known = {}
    alone = Judge(QUICK, 0)(NB201_SUPERNET, smaller)
    assert Judge(QUICK, 0, known=known)(NB201_SUPERNET, smaller) == alone
    again = Judge(QUICK, 0, known=known, rule="raw-sum")
    started = again.clock()
    assert again(NB201_SUPERNET, smaller) == alone
    assert again.clock() - started >= sum(seconds for _, seconds in known.values())
    assert len(known) == 2
    for rule, measured in (("kappa", "kappa"), ("regions", "regions")):
        only = Judge(QUICK, 0, known=known, rule=rule)(NB201_SUPERNET, smaller)
        for full, part in zip(alone, only, strict=True):
            assert (part.full_kappa, part.full_regions) == (full.full_kappa, full.full_regions)
            assert getattr(part, measured) == getattr(full, measured)
            assert np.isnan(part.kappa if rule == "regions" else part.regions).all()


def test_threads_are_given_back() -> None:
    before = torch.get_num_threads()
    Judge(QUICK, 0, workers=2)(NB201_SUPERNET, [])
    assert torch.get_num_threads() == before


def test_the_network_of_the_kernel_has_the_classes_of_the_images() -> None:
    """As in TE-NAS's searches on CIFAR-100 and ImageNet16-120: 120 classes and sides of 16 pixels here."""
    rng = np.random.default_rng(0)
    images = ImageSet("small", rng.integers(0, 256, (120, 3, 16, 16), np.uint8), np.arange(120))
    seen: list[int] = []

    def kappa_network(choices: Choices, classes: int) -> torch.nn.Module:
        seen.append(classes)
        return NB201_NETWORKS.kappa(choices, classes)

    judge = Judge(QUICK, 0, images=images, space=NB201_NETWORKS._replace(kappa=kappa_network))
    (comparison,) = judge(NB201_SUPERNET, [(("skip_connect",), *NB201_SUPERNET[1:])])
    assert set(seen) == {120}
    assert all(value > 1 for value in comparison.kappa)


def test_an_infinite_kappa_is_the_largest_there_is() -> None:
    """Leaving it gains all, as in the public code, and staying there nothing."""
    found = rank(
        {
            "stays": Comparison((math.inf,), (math.inf,), (10.0,), (10.0,)),
            "mended": Comparison((math.inf,), (50.0,), (10.0,), (10.0,)),
        }
    )
    assert found == ["mended", "stays"]


def test_a_search_on_noise_and_on_images_ends_in_a_cell() -> None:
    tiny = Settings(**{**QUICK.__dict__, "repeats": 1, "batch": 2})
    start = (*(mix[1:3] for mix in NB201_SUPERNET[:2]), *(("skip_connect",),) * 4)
    for images in (None, open_images()):
        search = prune(Judge(tiny, 0, images=images), start)
        assert set(cell_of(search.choices).ops[:2]) <= {"nor_conv_1x1", "nor_conv_3x3"}


# --- as a searcher


def test_a_run_is_the_stored_search_of_its_seed_once() -> None:
    for seed in (0, 3):
        searcher = TENAS(NB201(), generators(seed)[0])
        assert searcher.search == stored()[seed]
        assert searcher.search_seconds == 0
        (cell,) = searcher.ask()
        searcher.tell(cell, 90.0)
        assert str(cell) == stored()[seed].cell
        assert searcher.search_seconds == stored()[seed].seconds
        assert searcher.ask() == []


def test_a_run_without_a_stored_search_asks_for_nothing() -> None:
    searcher = TENAS(NB201(), generators(10_000)[0])
    assert searcher.ask() == []
    assert searcher.search_seconds == 0


@pytest.mark.parametrize("seed", [None, [1, 2], 2**31])
def test_a_generator_without_a_seed_of_a_run_is_refused(seed: int | list[int] | None) -> None:
    with pytest.raises(ValueError, match="with one seed from 0 to 2147483647"):
        TENAS(NB201(), np.random.default_rng(seed))


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(ValueError, match="one of released-paper-settings, released, not 'paper'"):
        TENAS(NB201(), np.random.default_rng(0), preset="paper")


# --- stored searches


@pytest.mark.parametrize("preset", PRESETS)
def test_stored_searches_are_whole_and_each_seed_is_there_once(preset: str) -> None:
    kept = SearchFile.read(SHIPPED)
    assert kept.settings == dict(PRESETS)
    assert kept.image_count == 50_000
    searches = [search for search in kept.searches if search.preset == preset]
    assert [search.seed for search in searches] == list(range(len(searches)))
    for search in searches:
        assert [len(step.removed) for step in search.rounds] == [6, 6, 6]
        assert Cell.parse(search.cell) == cell_of(search.states[-1])
        assert search.seconds == sum(step.seconds for step in search.rounds)
        assert all(step.kappa > 1 and 1 < step.regions < 5_000 for step in search.rounds)


def test_enough_searches_are_stored_for_statistics() -> None:
    assert len(stored("released-paper-settings")) >= 100
    assert len(stored("released")) >= 30


def made_here(images: str = "sample", settings: Settings = QUICK) -> SearchFile:
    return SearchFile(
        command="nasgauge score tenas",
        images=images,
        image_count=512,
        image_md5="0",
        machine="one",
        workers=1,
        torch="2",
        settings={"released-paper-settings": settings},
    )


def test_a_file_of_searches_reads_back_to_the_last_digit(tmp_path: Path) -> None:
    search = prune(by_operation)
    cell = cell_of(search.choices)
    made = made_here().with_search(StoredSearch.of("released-paper-settings", 7, search, cell))
    made = made.with_search(StoredSearch.of("released-paper-settings", 2, search, cell))
    path = tmp_path / "searches.json"
    path.write_text(made.to_json())
    assert SearchFile.read(path) == made == made_here().resumed(path)
    assert list(made.by_seed("released-paper-settings")) == [2, 7]
    kept = made.by_seed("released-paper-settings")[2]
    assert (kept.rounds, kept.states, kept.seconds) == (search.rounds, search.states, search.seconds)
    assert kept.cell == str(Cell(("nor_conv_3x3",) * 6))


def test_a_file_is_not_added_to_in_another_way(tmp_path: Path) -> None:
    path = tmp_path / "searches.json"
    assert made_here().resumed(path) == made_here()
    path.write_text(made_here().to_json())
    with pytest.raises(OtherSearches, match="images 'sample', not 'noise'; give another file"):
        made_here(images="noise").resumed(path)
    with pytest.raises(OtherSearches, match=r"batch=4.*batch=32"):
        made_here(settings=PRESETS["released-paper-settings"]).resumed(path)
    path.write_text('{"preset": "paper"}')
    with pytest.raises(UnreadableSearches, match="holds no TE-NAS searches"):
        made_here().resumed(path)


def test_the_command_goes_on_with_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each seed is searched once, and a file that is interrupted keeps what was finished."""
    path = tmp_path / "searches.json"
    asked: list[int] = []

    class Counted(Judge):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            asked.append(self.seed)
            if len(asked) == 3:
                raise KeyboardInterrupt

        def __call__(self, full: Choices, candidates: Sequence[Choices]) -> list[Comparison]:
            return by_operation(full, candidates)

    monkeypatch.setattr("nasgauge.harness.proxies.judge.Judge", Counted)
    with pytest.raises(KeyboardInterrupt):
        tenas(seeds=3, out=tmp_path)
    assert list(SearchFile.read(path).by_seed("released-paper-settings")) == [0, 1]
    tenas(seeds=3, out=tmp_path)
    assert asked == [0, 1, 2, 2]
    tenas(seeds=1, preset="released", out=tmp_path)
    kept = SearchFile.read(path)
    assert [(one.preset, one.seed) for one in kept.searches] == [
        ("released", 0),
        ("released-paper-settings", 0),
        ("released-paper-settings", 1),
        ("released-paper-settings", 2),
    ]
    assert kept.settings == dict(PRESETS)
    assert (kept.images, kept.image_count) == ("sample", 512)
    with pytest.raises(OtherSearches, match="batch=32"):
        tenas(batch=8, out=tmp_path)
    asked.clear()
    tenas(seeds=2, rule="kappa,rank-sum", out=tmp_path, table="nb201")
    assert asked == [0, 1]
    assert list(SearchFile.read(path).by_seed("released-paper-settings", "kappa")) == [0, 1]
    assert "rule" in capsys.readouterr().out
    with pytest.raises(UnknownRule, match="unknown rule sum; choose from"):
        tenas(rule="kappa,sum")


def test_an_interrupted_search_goes_on_after_its_last_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Measured for real: it ends as the search that was not interrupted."""
    options: dict[str, Any] = {"images": "noise", "batch": 2, "measurements": 1, "workers": 1}
    tenas(out=tmp_path / "whole", **options)

    class Stopped(Judge):
        def __call__(self, full: Choices, candidates: Sequence[Choices]) -> list[Comparison]:
            if self.rounds == 1:
                raise KeyboardInterrupt
            return super().__call__(full, candidates)

    with monkeypatch.context() as patched:
        patched.setattr("nasgauge.harness.proxies.judge.Judge", Stopped)
        with pytest.raises(KeyboardInterrupt):
            tenas(out=tmp_path, **options)
    (begun,) = SearchFile.read(tmp_path / "searches.json").unfinished
    assert (begun.preset, begun.rule, begun.seed, len(begun.rounds)) == (
        "released-paper-settings",
        "rank-sum",
        0,
        1,
    )
    tenas(out=tmp_path, **options)
    assert "goes on after round 1" in capsys.readouterr().err
    ended, whole = (SearchFile.read(folder / "searches.json") for folder in (tmp_path, tmp_path / "whole"))
    assert ended.unfinished == ()
    assert ended.searches[0].cell == whole.searches[0].cell
    assert [(step.kappa, step.regions, step.removed) for step in ended.searches[0].rounds] == [
        (step.kappa, step.regions, step.removed) for step in whole.searches[0].rounds
    ]
    assert ended.searches[0].rounds[0] == begun.rounds[0]
