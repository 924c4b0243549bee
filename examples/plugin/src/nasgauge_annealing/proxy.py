"""The effective rank of an untrained network's features, as a zero-cost proxy."""

import copy

import torch
from torch import Tensor, nn

from nasgauge.harness.proxies import Batch, Proxy


def effective_rank(features: Tensor) -> float:
    """The exponential of the entropy of the normalised singular values (Roy and Vetterli, 2007), from 1 to B.

    `features` is a float tensor (B, F); its columns are centred first. NaN if all rows are equal.
    """
    values = torch.linalg.svdvals(features.double() - features.double().mean(dim=0))
    share = values / values.sum()
    return float(torch.exp(torch.special.entr(share).sum()))


def feature_rank(network: nn.Module, batch: Batch) -> float:
    """The effective rank of the inputs of the classifier, for a batch in train mode.

    A proxy must leave the network as it was. The forward pass would change running statistics, so it is that of a copy.
    """
    twin = copy.deepcopy(network).train()
    classifier = [module for module in twin.modules() if isinstance(module, nn.Linear)][-1]
    seen: list[Tensor] = []
    classifier.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        twin(batch.images)
    return effective_rank(seen[-1].flatten(1))


FEATURE_RANK = Proxy(feature_rank, not_finite="all images have the same features")
"""What the entry point names; higher is better, and it is not called for cells without a path to the output."""
