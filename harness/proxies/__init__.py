"""Zero-cost proxies of untrained networks, scores of cells, and the supernet comparisons of TE-NAS."""

from nasgauge.harness.network.inputs import InvalidBatch
from nasgauge.harness.proxies.batch import Batch
from nasgauge.harness.proxies.registry import PROXIES, Proxy

__all__ = ["PROXIES", "Batch", "InvalidBatch", "Proxy"]
