"""Zero-cost proxies, scores of cells, and TE-NAS's comparisons: everything said of untrained networks."""

from nasgauge.harness.network.inputs import InvalidBatch
from nasgauge.harness.proxies.batch import Batch
from nasgauge.harness.proxies.registry import PROXIES, Proxy

__all__ = ["PROXIES", "Batch", "InvalidBatch", "Proxy"]
