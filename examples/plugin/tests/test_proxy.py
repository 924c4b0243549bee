"""The proxy: its values, and what nasgauge expects of every proxy. Skipped where PyTorch is not installed."""

import math

import pytest

torch = pytest.importorskip("torch")
from nasgauge_annealing.proxy import effective_rank  # noqa: E402
from torch import nn  # noqa: E402

import nasgauge as ng  # noqa: E402
from nasgauge.harness.proxies import Batch, proxy_named  # noqa: E402

CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"


def test_the_rank_of_known_features():
    basis = torch.eye(8)
    assert effective_rank(torch.cat([basis, -basis])) == pytest.approx(8)
    assert effective_rank(torch.outer(torch.arange(4.0), torch.ones(3))) == pytest.approx(1)
    assert math.isnan(effective_rank(torch.ones(4, 3)))


def test_it_leaves_the_network_as_it_was():
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(12, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3)
    ).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    images = torch.randn(6, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    batch = Batch(images, torch.arange(6), torch.Generator())
    proxy = proxy_named("feature_rank")
    assert 1 <= proxy(network, batch) == proxy(network, batch) <= 5
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert not any(module.training for module in network.modules())
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_it_scores_cells_by_its_name():
    scores = ng.score([CELL] * 2, proxies=["feature_rank", "params"], progress=False)
    ranks = scores.loc[scores["proxy"] == "feature_rank", "value"]
    assert ranks.nunique() == 1  # the same cell, the same score
    assert 1 < ranks.iloc[0] <= 64  # a batch of 64 images
