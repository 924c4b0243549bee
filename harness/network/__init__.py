"""Networks in torch, built from choices: for each edge, the operations that it mixes."""

from harness.network.block import build_blocks
from harness.network.initialise import INITIALISATIONS, UnknownInitialisation, initialise
from harness.network.nb201 import Choices, InvalidChoices, Network, Skeleton, build, choices_of
from harness.network.size import flops, parameters

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
