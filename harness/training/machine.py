"""Where a training runs, and how precisely it computes."""

import logging
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

import torch
from lightning_fabric import Fabric

from nasgauge.harness.network.inputs import open_device
from nasgauge.spaces.errors import NasgaugeError

PRECISIONS: Final = MappingProxyType({"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"})
"""Names of ours, and Fabric's: float32, or a smaller type where autocast allows it."""


class InvalidMachine(NasgaugeError, ValueError):
    """A precision or a number of processes that no training can run with."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A device, a precision, and how many processes share each batch."""

    device: str = "auto"
    """`cpu`, `cuda`, `cuda:1`, …; `auto`: CUDA where it is there."""
    precision: str = "auto"
    """Of `PRECISIONS`; `auto`: bfloat16 where the device computes in it, else float32."""
    threads: int | None = None
    """Of a CPU; None: as torch chooses."""
    processes: int = 1
    """Distributed data parallel, each process with its part of the batch and a device of its own."""
    compiled: bool = False
    """Through `torch.compile`."""

    def __post_init__(self) -> None:
        if self.precision != "auto" and self.precision not in PRECISIONS:
            raise InvalidMachine(
                f"unknown precision {self.precision!r}; choose from auto, {', '.join(PRECISIONS)}"
            )
        if self.processes < 1 or (self.threads is not None and self.threads < 1):
            raise InvalidMachine("processes and threads must be at least 1")

    def resolved(self) -> "Machine":
        """The same with `auto` replaced by what this computer has.

        Raises InvalidBatch, InvalidMachine for devices that are not there.
        """
        name = self.device
        if name == "auto":
            name = "cuda" if torch.cuda.is_available() else "cpu"
        open_device(name)
        if name.startswith("cuda") and self.processes > torch.cuda.device_count():
            raise InvalidMachine(
                f"{self.processes} processes need as many GPUs; there are {torch.cuda.device_count()}"
            )
        precision = self.precision
        if precision == "auto":
            precision = "bf16" if _computes_bfloat16(name) else "32"
        if precision == "16" and name == "cpu":  # Fabric would compute in bfloat16
            raise InvalidMachine("a CPU does not train in float16; choose the precision bf16 or 32")
        return replace(self, device=name, precision=precision)

    def fabric(self) -> Fabric:
        """Fabric, launched.

        Raises InvalidBatch for a device that is not there.
        """
        here = self.resolved()
        if here.threads is not None:
            torch.set_num_threads(here.threads)
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces every precision
        device = torch.device(here.device)
        fabric = Fabric(
            accelerator=device.type,
            devices=[device.index] if ":" in here.device and here.processes == 1 else here.processes,
            strategy="ddp" if here.processes > 1 else "auto",
            precision=PRECISIONS[here.precision],  # type: ignore[arg-type]  # a literal of Fabric's own
        )
        fabric.launch()
        return fabric


def _computes_bfloat16(device: str) -> bool:
    """Whether in hardware; emulated, it is slower than float32."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    able: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # older torch lacks it
    return device == "cpu" and bool(able.get("avx512_bf16") or able.get("amx_bf16"))
