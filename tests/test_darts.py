"""TE-NAS on the DARTS block space: its networks, its two stages, and genotypes."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from nasgauge.api.results import most_frequent
from nasgauge.cli import app
from nasgauge.harness.network import InvalidChoices, initialise
from nasgauge.harness.network.darts import BlockNetwork
from nasgauge.harness.network.operators import Halve
from nasgauge.harness.proxies.judge import DARTS_NETWORKS, Judge
from nasgauge.searchers.pruning import Choices, Comparison, Settings
from nasgauge.searchers.pruning_darts import DARTS_GROUPS, DARTS_SUPERNET, genotype_of, prune_darts
from nasgauge.searchers.tenas import OtherSearches, SearchFile
from nasgauge.spaces import block_genotypes as genotypes
from nasgauge.spaces.block_genotypes import EDGES, Genotype, InvalidGenotype

PUBLISHED = (  # TE-NAS's own genotype for CIFAR-10
    "Genotype(normal=[('dil_conv_3x3', 0), ('sep_conv_5x5', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 2), "
    "('skip_connect', 0), ('dil_conv_5x5', 1), ('sep_conv_3x3', 1), ('sep_conv_5x5', 3)], "
    "normal_concat=[2, 3, 4, 5], "
    "reduce=[('sep_conv_5x5', 0), ('sep_conv_5x5', 1), ('sep_conv_5x5', 1), ('sep_conv_5x5', 2), "
    "('sep_conv_3x3', 1), ('sep_conv_3x3', 3), ('sep_conv_5x5', 2), ('sep_conv_3x3', 4)], "
    "reduce_concat=[2, 3, 4, 5])"
)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def counting(full: Choices, candidates: Sequence[Choices]) -> list[Comparison]:
    """3x3 separable convolutions lower kappa; edges from the cell's second input bring regions."""

    def figures(choices: Choices) -> tuple[float, float]:
        good = sum(op == "sep_conv_3x3" for mix in choices for op in mix)
        late = sum(len(mix) for mix, edge in zip(choices, EDGES * 2, strict=True) if edge[0] == 1)
        return 1 / (1 + good), 1.0 + late

    (kappa, regions), others = figures(full), [figures(choices) for choices in candidates]
    return [Comparison((kappa,), (k,), (regions,), (r,)) for k, r in others]


def test_a_genotype_is_its_text() -> None:
    assert str(Genotype.parse(PUBLISHED)) == PUBLISHED


def test_wrong_genotypes_are_refused() -> None:
    arms = (("skip_connect", 0), ("skip_connect", 1)) * 4
    with pytest.raises(InvalidGenotype, match="normal has 7 arms; give two for each node"):
        Genotype(arms[1:], arms)
    with pytest.raises(InvalidGenotype, match="unknown operation 'none' in normal"):
        Genotype((("none", 0), *arms[1:]), arms)
    with pytest.raises(InvalidGenotype, match="arm 0 of normal reads 2; node 2 may read 0 to 1"):
        Genotype((("skip_connect", 2), *arms[1:]), arms)
    with pytest.raises(InvalidGenotype, match="malformed genotype 'sep'"):
        Genotype.parse("sep")


def test_the_space_has_14_edges_in_four_groups_for_each_cell() -> None:
    assert len(DARTS_SUPERNET) == 28
    assert [len(group) for group in DARTS_GROUPS] == [2, 3, 4, 5] * 2
    assert [edge for group in DARTS_GROUPS for edge in group] == list(range(28))


def test_a_search_tests_308_operations_then_24_edges() -> None:
    asked: list[int] = []

    def judge(full: Choices, candidates: Sequence[Choices]) -> list[Comparison]:
        asked.append(len(candidates))
        return counting(full, candidates)

    search = prune_darts(judge)
    assert asked == [196, 112, 3, 4, 5, 3, 4, 5]
    genotype = genotype_of(search.choices)
    assert {operation for operation, _ in genotype.normal + genotype.reduce} == {"sep_conv_3x3"}
    for cell in (genotype.normal, genotype.reduce):
        for node in range(4):
            assert 1 in {source for _, source in cell[2 * node : 2 * node + 2]}


def test_a_search_goes_on_from_any_of_its_rounds() -> None:
    whole = prune_darts(counting)
    assert len(whole.rounds) == 3
    for ended in range(4):
        assert prune_darts(counting, done=whole.rounds[:ended]).choices == whole.choices


def test_two_a_round_is_the_imagenet_setting() -> None:
    asked: list[int] = []

    def judge(full: Choices, candidates: Sequence[Choices]) -> list[Comparison]:
        asked.append(len(candidates))
        return counting(full, candidates)

    prune_darts(judge, per_round=2)
    assert asked[:3] == [196, 140, 84]


def test_networks_halve_once_and_widen() -> None:
    network = BlockNetwork(DARTS_SUPERNET, stem=True)
    images = torch.randn(2, 3, 8, 8, generator=seeded())
    start = network.stem(images)
    normal = network.normal(start, start)
    assert normal.shape == (2, 4, 8, 8)
    assert network.reduce(start, normal).shape == (2, 8, 4, 4)
    assert network(images).shape == (2, 10)
    assert BlockNetwork(DARTS_SUPERNET, stem=False)(torch.randn(3, 1, 3, 3)).shape == (3, 10)
    assert Halve(2, 3)(torch.randn(2, 2, 3, 3)).shape == (2, 3, 2, 2)


def test_an_edge_without_operations_delivers_nothing() -> None:
    """A skip from the first input alone: each node is that input's preprocessed map."""
    skips = tuple(("skip_connect",) if source == 0 else () for source, _ in EDGES)
    network = BlockNetwork((*skips, *skips), stem=True)
    initialise(network, "kaiming_fan_out", seeded())
    start = torch.randn(2, 1, 6, 6, generator=seeded())
    maps = network.normal(start, start)
    assert all(torch.equal(maps[:, place], maps[:, 0]) for place in range(4))
    assert torch.equal(maps[:, :1], network.normal.first(start))


def test_choices_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InvalidChoices, match="28 edges, not 14"):
        BlockNetwork(DARTS_SUPERNET[:14], stem=True)
    with pytest.raises(InvalidChoices, match="unknown operation 'none'"):
        BlockNetwork((("none",),) * 28, stem=True)


def test_the_judge_measures_both_networks_of_the_space() -> None:
    settings = Settings(
        batch=2,
        region_samples=20,
        repeats=1,
        fresh_weights=True,
        kappa_initialisation="kaiming_fan_out",
        region_initialisation="kaiming_fan_in",
    )
    full = ((genotypes.OPERATIONS[1:3],) + (("skip_connect",),) * 13) * 2
    smaller = ((("sep_conv_3x3",), *full[1:]), full)
    found = Judge(settings, 0, space=DARTS_NETWORKS)(full, smaller)
    assert found[0].kappa != found[0].full_kappa == found[1].kappa
    assert 1 <= found[0].regions[0] <= 20


def test_a_stored_search_is_trained_from_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line with an instant judge: what it prints and stores, and that the genotype is found again."""

    class Instant(Judge):
        def __call__(self, full: Choices, candidates: Sequence[Choices]) -> list[Comparison]:
            return counting(full, candidates)

    monkeypatch.setattr("nasgauge.harness.proxies.judge.Judge", Instant)
    out = tmp_path / "searches.json"
    command = ["score", "tenas", "--space", "darts", "--images", "noise", "--out", str(tmp_path)]
    printed = CliRunner().invoke(app, command, catch_exceptions=False).stdout
    assert "parameters with tenas-cifar, the published genotype 4,137,526" in printed
    kept = SearchFile.read(out)
    assert (kept.space, len(kept.searches)) == ("darts", 1)
    (genotype,) = most_frequent(out, 1)
    assert isinstance(genotype, Genotype)
    assert str(genotype) in printed
    again = CliRunner().invoke(app, command, catch_exceptions=False)
    assert f"is in {out}" in again.stderr
    with pytest.raises(OtherSearches, match="space 'darts', not 'nb201'"):
        CliRunner().invoke(
            app, ["score", "tenas", "--images", "noise", "--out", str(tmp_path)], catch_exceptions=False
        )


@pytest.mark.slow
def test_a_real_search_ends_in_a_genotype() -> None:
    """Two open edges, then all groups, on tiny batches."""
    settings = Settings(
        batch=2,
        region_samples=20,
        repeats=1,
        fresh_weights=True,
        kappa_initialisation="kaiming_fan_out",
        region_initialisation="kaiming_fan_in",
    )
    operations = ("skip_connect", "sep_conv_3x3", "dil_conv_3x3", "avg_pool_3x3", "max_pool_3x3")
    start: list[tuple[str, ...]] = [(operations[place % 5],) for place in range(28)]
    start[0] = start[14] = genotypes.OPERATIONS[:2]
    judge = Judge(settings, 0, space=DARTS_NETWORKS)
    search = prune_darts(judge, tuple(start), per_round=1)
    assert [len(step.removed) for step in search.rounds] == [2, 12]
    assert len(genotype_of(search.choices).normal) == 8
