"""Zero-cost proxies, scores of cells, and TE-NAS's comparisons: everything said of untrained networks."""

from harness.network.inputs import InvalidBatch
from harness.proxies.batch import Batch
from harness.proxies.registry import PROXIES, Proxy

__all__ = ["PROXIES", "Batch", "InvalidBatch", "Proxy"]
