"""Zero-cost proxies of untrained networks, scores of cells, and the supernet comparisons of TE-NAS."""

from nasgauge.harness.network.inputs import InvalidBatch
from nasgauge.harness.proxies.batch import Batch
from nasgauge.harness.proxies.registry import BrokenProxy, InvalidProxy, Proxy, proxies, proxy_named

__all__ = ["Batch", "BrokenProxy", "InvalidBatch", "InvalidProxy", "Proxy", "proxies", "proxy_named"]
