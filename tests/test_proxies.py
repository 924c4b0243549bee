"""Zero-cost proxies: a contract that all keep, and what each must say of networks that are worked out here."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from nasgauge.cli import main
from nasgauge.data.images import augmented, open_images
from nasgauge.data.plugins import built_in
from nasgauge.harness.network import Network, Skeleton, build, choices_of
from nasgauge.harness.network.inputs import InvalidBatch
from nasgauge.harness.proxies import Batch, proxies
from nasgauge.harness.proxies.activations import distinct, naswot, relu_codes, zen
from nasgauge.harness.proxies.gradients import fisher, grad_norm, grasp, l2_norm, plain, snip, synflow, zico
from nasgauge.harness.proxies.score_files import Recipe, UnfitScores, gather, read, shipped
from nasgauge.harness.proxies.scores import (
    NO_PATH,
    Scorer,
    classes,
    mean_by_cell,
    nan_last,
    score_classes,
)
from nasgauge.harness.proxies.tenas import regions
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.nb201 import NB201

PROXIES = proxies(built_in("nasgauge.proxies"))
MIXED = Cell(("nor_conv_3x3", "avg_pool_3x3", "nor_conv_1x1", "skip_connect", "none", "nor_conv_3x3"))
TINY = Skeleton(channels=3, cells=1)
FAST = Recipe(
    kappa_batch=4, kappa_repeats=2, region_samples=40, region_repeats=2, channels=2, batch=4, images="sample"
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network_of(cell: Cell = MIXED, seed: int = 0) -> Network:
    return build(choices_of(cell), TINY, seeded(seed), initialisation="kaiming_fan_out")


def batch_of(size: int = 6, seed: int = 1) -> Batch:
    images, labels = augmented(open_images(), size, seeded(seed))
    return Batch(images, labels, seeded(2))


# --- the contract


@pytest.mark.parametrize("name", PROXIES)
def test_the_same_generator_gives_the_same_score(name: str) -> None:
    before = torch.random.get_rng_state()
    assert PROXIES[name](network_of(), batch_of()) == PROXIES[name](network_of(), batch_of())
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("name", PROXIES)
@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_left_as_it_was(name: str, training: bool) -> None:
    network = network_of().train(training)
    network.classifier.weight.requires_grad_(False)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    PROXIES[name](network, batch_of())
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert all(module.training is training for module in network.modules())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not network.classifier.weight.requires_grad
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


@pytest.mark.parametrize("name", PROXIES)
def test_every_cell_with_a_path_has_a_finite_score(name: str) -> None:
    for cell in (MIXED, Cell(("skip_connect",) * 6), Cell(("avg_pool_3x3",) * 6)):
        assert math.isfinite(PROXIES[name](network_of(cell), batch_of())), cell


@pytest.mark.parametrize("name", PROXIES)
def test_a_cell_without_a_path_is_no_crash(name: str) -> None:
    value = PROXIES[name](network_of(NB201()[0]), batch_of())
    assert name in ("flops", "l2_norm", "params") or not value > (name == "regions")


@pytest.mark.parametrize("name", ["flops", "params", "synflow", "zen", "l2_norm"])
def test_more_convolutions_score_higher(name: str) -> None:
    """The rough order that a proxy for capacity must have."""
    skips, convolutions = (network_of(Cell((op,) * 6)) for op in ("skip_connect", "nor_conv_3x3"))
    assert PROXIES[name](convolutions, batch_of()) > PROXIES[name](skips, batch_of())


def test_batches_that_cannot_be_judged_are_refused() -> None:
    images, labels = augmented(open_images(), 4, seeded())
    with pytest.raises(InvalidBatch, match="a batch of 1"):
        Batch(images[:1], labels[:1], seeded())
    with pytest.raises(InvalidBatch, match="4 images need 4 labels"):
        Batch(images, labels[:3], seeded())
    with pytest.raises(InvalidBatch, match="the images are on meta"):
        snip(network_of(), Batch(images.to("meta"), labels.to("meta"), seeded()))


# --- what they compute, on networks small enough to work out


class Linear(nn.Module):
    """Two classes from one pixel: logits = weight · x."""

    def __init__(self, weight: tuple[float, float]) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.layer = nn.Linear(1, 2, bias=False)
        with torch.no_grad():
            self.layer.weight.copy_(torch.tensor(weight)[:, None])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.layer(self.relu(images).flatten(1))
        return logits


def ones(count: int = 2, label: int = 0) -> Batch:
    return Batch(torch.ones(count, 1, 1, 1), torch.full((count,), label), seeded())


def test_gradient_proxies_of_a_linear_layer() -> None:
    """Weights (w, −w) on ones, class 0: the gradient is (−q, q) with q = 1 / (1 + exp(2w))."""
    w = 0.7
    q = 1 / (1 + math.exp(2 * w))
    network = Linear((w, -w))
    assert grad_norm(network, ones()) == pytest.approx(math.sqrt(2) * q)
    assert snip(network, ones()) == pytest.approx(2 * w * q)
    assert plain(network, ones()) == pytest.approx(-2 * w * q)
    assert l2_norm(network, ones()) == pytest.approx(math.sqrt(2) * w)


def test_grasp_is_minus_weights_times_the_gradients_change() -> None:
    """Against a finite difference of the squared gradient's norm along the weights."""
    network, batch, step = network_of(), batch_of(), 1e-7
    network.double()
    exact = grasp(network, Batch(batch.images.double(), batch.labels, seeded()))

    def squared_norm(scale: float) -> float:
        moved = network_of().double()
        layers = [m for m in moved.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        with torch.no_grad():
            for layer in layers:
                layer.weight.mul_(scale)
        loss = nn.functional.cross_entropy(moved(batch.images.double()), batch.labels)
        gradients = torch.autograd.grad(loss, [layer.weight for layer in layers])
        return float(sum(g.square().sum() for g in gradients))

    slope = (squared_norm(1 + step) - squared_norm(1 - step)) / (2 * step)
    assert exact == pytest.approx(-slope / 2, rel=1e-3)


def test_synflow_of_positive_weights_counts_paths_by_their_weight() -> None:
    network = Linear((0.5, -0.25))
    assert synflow(network, ones()) == pytest.approx(0.75)


def test_fisher_is_half_the_squared_channel_sums() -> None:
    """One 1x1 convolution to two channels, the logits: z ∂L/∂z of each image is known."""
    network = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False), nn.Flatten())
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([1.0, -1.0]).view(2, 1, 1, 1))  # type: ignore[operator] # a convolution
    q = 1 / (1 + math.exp(2)) / 4  # the mean loss shares the gradient among 4 images
    assert fisher(network, ones(4)) == pytest.approx(q**2)


def test_zico_of_halves_that_agree_is_nothing() -> None:
    assert zico(Linear((0.3, -0.2)), ones(4)) == 0.0


def test_codes_say_which_units_are_on() -> None:
    images = torch.tensor([1.0, -1.0, 2.0]).view(3, 1, 1, 1)
    assert relu_codes(Linear((1.0, 1.0)), images).tolist() == [[True], [False], [True]]
    assert regions(Linear((1.0, 1.0)), images) == 2
    assert naswot(Linear((1.0, 1.0)), Batch(images, torch.zeros(3), seeded())) == -math.inf
    assert naswot(Linear((1.0, 1.0)), Batch(images[:2], torch.zeros(2), seeded())) == 0.0


def test_patterns_are_counted_over_many_units() -> None:
    codes = torch.rand(300, 70, generator=seeded()) < 0.5
    doubled = torch.cat([codes, codes])
    assert distinct(doubled) == len(np.unique(codes.numpy(), axis=0)) == 300


def test_regions_never_exceed_the_images() -> None:
    skeleton = Skeleton(channels=1, cells=1, stages=1, stem=False)
    pieces = torch.randn(300, 1, 3, 3, generator=seeded())
    skips, convolutions = (
        regions(build(choices_of(Cell((op,) * 6)), skeleton, seeded()), pieces)
        for op in ("skip_connect", "nor_conv_3x3")
    )
    assert 1 < skips < convolutions <= 300


def test_zen_draws_from_the_batchs_generator() -> None:
    images, labels = augmented(open_images(), 4, seeded())
    first, other = (zen(network_of(), Batch(images, labels, seeded(s))) for s in (0, 1))
    assert first != other


# --- scores in files


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer(FAST, open_images())


def test_every_class_is_scored_once() -> None:
    space = NB201()
    assert len(classes()) == 6466
    assert len({space.canonical(space[rank]) for rank in classes()}) == 6466
    assert classes()[:3] != tuple(sorted(classes()))[:3]


def test_undefined_scores_carry_their_reason(scorer: Scorer) -> None:
    scores = scorer.score(NB201()[0])
    undefined = {score.proxy for score in scores if math.isnan(score.value)}
    assert undefined == set(PROXIES) - {"flops", "l2_norm", "params"}
    assert {score.reason for score in scores if math.isnan(score.value)} == {NO_PATH}
    assert nan_last(np.array([math.nan, -5.0])).argmin() == 0


def test_a_score_does_not_depend_on_what_was_scored_before(scorer: Scorer) -> None:
    def values(of: Scorer) -> list[tuple[str, float]]:
        return [(score.proxy, score.value) for score in of.score(MIXED)]

    scorer.score(Cell(("nor_conv_3x3",) * 6))
    assert values(scorer) == values(Scorer(FAST, open_images()))


def test_scoring_goes_on_where_it_stopped(scorer: Scorer, tmp_path: Path) -> None:
    for _ in score_classes(scorer, tmp_path, 3, in_file=2):
        break
    (first,) = tmp_path.glob("part-*.parquet")
    stamp = first.stat().st_mtime_ns
    assert list(score_classes(scorer, tmp_path, 3, in_file=2)) == [(2, 3), (3, 3)]
    assert first.stat().st_mtime_ns == stamp
    assert gather(tmp_path, tmp_path / "all.parquet") == 3
    recipe, scores = read(tmp_path / "all.parquet")
    assert recipe == FAST
    assert set(mean_by_cell(scores, "params")) == set(classes()[:3])


def test_scores_of_another_recipe_are_not_mixed_in(scorer: Scorer, tmp_path: Path) -> None:
    list(score_classes(scorer, tmp_path, 1))
    other = Scorer(Recipe(**{**FAST.__dict__, "seed": 1}), open_images())
    with pytest.raises(UnfitScores, match="another recipe"):
        list(score_classes(other, tmp_path, 1))
    (tmp_path / "part-00000.parquet").write_bytes(b"PAR1")
    with pytest.raises(UnfitScores, match="not a file of scores"):
        gather(tmp_path, tmp_path / "all.parquet")
    with pytest.raises(UnfitScores, match="holds no scores"):
        gather(tmp_path / "nowhere", tmp_path / "all.parquet")


def test_the_mean_of_condition_numbers_is_geometric(scorer: Scorer) -> None:
    scores = scorer.score(MIXED)
    one, two = (score.value for score in scores if score.proxy == "kappa")
    assert mean_by_cell(scores, "kappa")[MIXED.rank] == pytest.approx(-math.sqrt(one * two))


def test_shipped_scores_are_those_of_their_recipe() -> None:
    """The sample that ships is the start of the fixed order, so it is uniform; a cell scored here agrees."""
    recipe, scores = shipped()
    ranks = list(dict.fromkeys(score.rank for score in scores))
    assert ranks == list(classes()[: len(ranks)])
    assert len(ranks) >= 500
    wanted = [score for score in scores if score.rank == ranks[0]]
    again = Scorer(recipe, open_images(recipe.images)).score(NB201()[ranks[0]])
    for kept, now in zip(wanted, again, strict=True):
        assert (kept.proxy, kept.repeat) == (now.proxy, now.repeat)
        if kept.proxy in ("flops", "params"):
            assert kept.value == now.value
        elif not math.isnan(kept.value):
            assert now.value == pytest.approx(kept.value, rel=0.01), kept.proxy


# --- on the command line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["foo"], "malformed cell 'foo'"),
        ([str(MIXED), "--device", "cuda:77"], "no device 'cuda:77'"),
        ([str(MIXED), "--images", "nowhere"], "unknown images 'nowhere'"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["nasgauge", "score", "cells", *arguments])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert said in " ".join(capsys.readouterr().err.split())
