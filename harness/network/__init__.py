"""PyTorch networks of cells and of supernets.

A network is built from `Choices`: for each edge, the candidate operations whose outputs it averages.
"""

from nasgauge.harness.network.block import build_blocks
from nasgauge.harness.network.initialise import INITIALISATIONS, UnknownInitialisation, initialise
from nasgauge.harness.network.nb201 import Choices, InvalidChoices, Network, Skeleton, build, choices_of
from nasgauge.harness.network.size import flops, parameters

__all__ = [
    "INITIALISATIONS",
    "Choices",
    "InvalidChoices",
    "Network",
    "Skeleton",
    "UnknownInitialisation",
    "build",
    "build_blocks",
    "choices_of",
    "flops",
    "initialise",
    "parameters",
]
