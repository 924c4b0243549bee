"""The device, precision and number of processes of a training."""

import logging
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

import torch
from lightning_fabric import Fabric

from nasgauge.harness.network.inputs import open_device
from nasgauge.spaces.errors import NasgaugeError

PRECISIONS: Final = MappingProxyType({"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"})
"""Precision names to those of Lightning Fabric: float32, or mixed precision with bfloat16 or float16."""


class InvalidMachine(NasgaugeError, ValueError):
    """Raised for a precision, a number of processes or a device that a training cannot use."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The device, precision and number of processes of a training.

    Raises InvalidMachine.

    >>> Machine(device="cpu", precision="32").resolved().precision
    '32'
    >>> Machine(precision="8")
    Traceback (most recent call last):
    ...
    nasgauge.harness.training.machine.InvalidMachine: unknown precision '8'; choose from auto, 32, bf16, 16
    """

    device: str = "auto"
    """`cpu`, `cuda`, `cuda:1`, …; `auto` is CUDA if available."""
    precision: str = "auto"
    """One of `PRECISIONS`; `auto` is bfloat16 if the hardware supports it, otherwise float32."""
    threads: int | None = None
    """CPU threads; None for the default of PyTorch."""
    processes: int = 1
    """Processes of distributed data-parallel training, each with its own device and its share of every batch."""
    compiled: bool = False
    """Whether to use `torch.compile`."""

    def __post_init__(self) -> None:
        if self.precision != "auto" and self.precision not in PRECISIONS:
            raise InvalidMachine(
                f"unknown precision {self.precision!r}; choose from auto, {', '.join(PRECISIONS)}"
            )
        if self.processes < 1 or (self.threads is not None and self.threads < 1):
            raise InvalidMachine("processes and threads must be at least 1")

    def resolved(self) -> "Machine":
        """A copy with `auto` replaced by values for this computer.

        Raises InvalidBatch for a device that does not exist, InvalidMachine for too many processes.
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
        if precision == "16" and name == "cpu":  # Fabric would use bfloat16 instead
            raise InvalidMachine("a CPU does not train in float16; choose the precision bf16 or 32")
        return replace(self, device=name, precision=precision)

    def fabric(self) -> Fabric:
        """A launched Fabric object; also sets the number of CPU threads.

        Raises InvalidBatch, InvalidMachine.
        """
        here = self.resolved()
        if here.threads is not None:
            torch.set_num_threads(here.threads)
        logging.getLogger("lightning_fabric").setLevel(
            logging.WARNING
        )  # it logs the precision at every launch
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
    """Whether the hardware supports bfloat16; emulated, it is slower than float32."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    able: dict[str, object] = getattr(
        torch.cpu, "get_capabilities", dict
    )()  # absent in older versions of PyTorch
    return device == "cpu" and bool(able.get("avx512_bf16") or able.get("amx_bf16"))
