"""Zero-cost proxies, scores of cells, and TE-NAS's comparisons: everything said of untrained networks."""

from nasgauge.harness.network.inputs import InvalidBatch
from nasgauge.harness.proxies.batch import Batch
from nasgauge.harness.proxies.registry import BrokenProxy, InvalidProxy, Proxy, proxies, proxy_named

__all__ = ["Batch", "BrokenProxy", "InvalidBatch", "InvalidProxy", "Proxy", "proxies", "proxy_named"]
