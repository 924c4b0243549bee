"""PyTorch networks of architectures and of supernets.

`build_network` builds the network of a single architecture. A supernet is built from `Choices`: for each edge, the
candidate operations whose outputs it averages.
"""

from nasgauge.harness.network.cell_networks import CellNetwork
from nasgauge.harness.network.evaluation import build_network, network_of
from nasgauge.harness.network.initialise import INITIALISATIONS, UnknownInitialisation, initialise
from nasgauge.harness.network.nb201 import Choices, InvalidChoices, Network, Skeleton, build, choices_of
from nasgauge.harness.network.size import flops, parameters
from nasgauge.harness.network.unused import freeze_unused

__all__ = [
    "INITIALISATIONS",
    "CellNetwork",
    "Choices",
    "InvalidChoices",
    "Network",
    "Skeleton",
    "UnknownInitialisation",
    "build",
    "build_network",
    "choices_of",
    "flops",
    "freeze_unused",
    "initialise",
    "network_of",
    "parameters",
]
