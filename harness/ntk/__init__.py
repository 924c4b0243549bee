"""The exact neural tangent kernel of a network and its condition number."""

from nasgauge.harness.ntk.at_once import kernel_at_once
from nasgauge.harness.ntk.kernel import condition_number, kernel, kernel_by_rows
from nasgauge.harness.ntk.parts import Workspace

__all__ = ["Workspace", "condition_number", "kernel", "kernel_at_once", "kernel_by_rows"]
