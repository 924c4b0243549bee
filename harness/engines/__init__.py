"""Where pieces of work run: in this process, or in processes of this machine.

An engine takes a function and its tasks, and yields each task with its result as it finishes, in no order. A
task whose process ended while it ran is run again, alone; if its process ends again, its result is `Lost`.
Closing the iterator stops what is still running.
"""

from nasgauge.harness.engines.base import Engine, InvalidEngine, Lost
from nasgauge.harness.engines.local import Local

__all__ = ["Engine", "InvalidEngine", "Local", "Lost"]
