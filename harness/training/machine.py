"""The device, precision and number of processes of a training."""

import logging
import os
import resource
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy

from nasgauge.data.images.reading import keep_memory
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
    """Processes of distributed data-parallel training, each with its own device and its share of every batch. Under
    `torchrun`, its numbers of processes and nodes are used instead."""
    per_device: int | None = None
    """Images of a batch that a device computes at once; gradients are accumulated over the others. None for all."""
    readers: int | None = None
    """Processes that read image files, for each process of the training; None for its share of the CPU cores."""
    compiled: bool = False
    """Whether to use `torch.compile`."""

    def __post_init__(self) -> None:
        if self.precision != "auto" and self.precision not in PRECISIONS:
            raise InvalidMachine(
                f"unknown precision {self.precision!r}; choose from auto, {', '.join(PRECISIONS)}"
            )
        numbers = (self.processes, self.threads, self.per_device)
        if any(number is not None and number < 1 for number in numbers) or (self.readers or 0) < 0:
            raise InvalidMachine(
                "processes, threads and images on a device must be at least 1, readers at least 0"
            )

    def resolved(self) -> "Machine":
        """A copy with `auto` replaced by values for this computer.

        Raises InvalidBatch for a device that does not exist, InvalidMachine for too many processes.
        """
        name = self.device
        if name == "auto":
            name = "cuda" if torch.cuda.is_available() else "cpu"
        processes = here_of_torchrun(os.environ) or self.processes
        if processes > 1 and ":" in name:
            raise InvalidMachine(
                f"device {name} is one GPU, and {processes} processes need one each; give the device cuda"
            )
        if name.startswith("cuda") and processes > torch.cuda.device_count() > 0:
            raise InvalidMachine(
                f"{processes} processes need as many GPUs; there are {torch.cuda.device_count()} on this node"
            )
        open_device(f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if name == "cuda" and processes > 1 else name)
        precision = self.precision
        if precision == "auto":
            precision = "bf16" if _computes_bfloat16(name) else "32"
        if precision == "16" and name == "cpu":  # Fabric would use bfloat16 instead
            raise InvalidMachine("a CPU does not train in float16; choose the precision bf16 or 32")
        readers = self.readers
        if readers is None:
            readers = max(len(os.sched_getaffinity(0)) // processes, 1)
        return replace(self, device=name, precision=precision, processes=processes, readers=readers)

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
        if device.type == "cpu":
            keep_memory()
        nodes = int(os.environ["WORLD_SIZE"]) // here.processes if here_of_torchrun(os.environ) else 1
        fabric = Fabric(
            accelerator=device.type,
            devices=[device.index] if ":" in here.device and here.processes == 1 else here.processes,
            num_nodes=nodes,
            strategy=DDPStrategy(broadcast_buffers=False) if here.processes * nodes > 1 else "auto",
            precision=PRECISIONS[here.precision],  # type: ignore[arg-type]  # a literal of Fabric's own
        )
        fabric.launch()
        return fabric

    def shares(self, batch: int, processes: int) -> int:
        """How many shares of a batch each process computes, one after the other.

        Raises InvalidMachine if the batch cannot be divided so.

        >>> Machine(per_device=96).shares(768, 4)
        2
        """
        each = self.per_device or max(batch // processes, 1)
        if batch % (each * processes):
            at_once = f" with {each} images at once" if self.per_device else ""
            fit = ", ".join(str(count) for count in range(1, batch + 1) if batch % count == 0)
            raise InvalidMachine(
                f"a batch of {batch} images cannot be divided among {processes} processes{at_once}; processes × images at "
                f"once must be one of {fit}"
            )
        return batch // (each * processes)


def here_of_torchrun(environment: Mapping[str, str]) -> int:
    """Number of processes that `torchrun` started on this node; 0 without it.

    >>> here_of_torchrun({})
    0
    """
    return int(environment["LOCAL_WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in environment else 0


def is_first_process() -> bool:
    """Whether this process is the one that writes files and reports progress."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))) == 0  # of torchrun, or of Fabric


def peak_memory(device: torch.device) -> float:
    """Peak memory in bytes: of the device on a GPU, of the process on a CPU."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def _computes_bfloat16(device: str) -> bool:
    """Whether the hardware supports bfloat16; emulated, it is slower than float32."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    able: dict[str, object] = getattr(
        torch.cpu, "get_capabilities", dict
    )()  # absent in older versions of PyTorch
    return device == "cpu" and bool(able.get("avx512_bf16") or able.get("amx_bf16"))
