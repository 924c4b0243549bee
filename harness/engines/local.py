"""Processes of this machine, by loky."""

import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Final, TypeVar

from nasgauge.harness.engines.base import InvalidEngine, Lost

if TYPE_CHECKING:
    from concurrent.futures import Executor

T = TypeVar("T")
R = TypeVar("R")

_THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_IDLE: Final = 300
"""Seconds after which a process without work ends."""
_LEAST_MEMORY: Final = 2 << 30


def most_workers() -> int:
    """The most processes that this machine is asked for: eight a core, or 64."""
    return max(8 * (os.cpu_count() or 1), 64)


@dataclass(frozen=True)
class Local:
    """Processes of this machine, no more than tasks; -1 is one for each core, 1 is this process itself.

    A process that runs searchers has its share of the machine's memory, so that one that takes more gets a
    MemoryError (`memory`). Processes end within seconds when this one ends, however it ends.

    >>> sorted(Local(1).run(abs, [-2, 1]))
    [(-2, 2), (1, 1)]
    """

    workers: int = -1
    memory: bool = False

    def __post_init__(self) -> None:
        if self.workers == 0 or self.workers < -1:
            raise InvalidEngine(
                f"{self.workers} workers run nothing; give a positive number, or -1 for one a core"
            )
        if self.workers > most_workers():
            raise InvalidEngine(
                f"{self.workers} workers are more than this machine takes; give at most {most_workers()}, or -1 for one "
                "a core"
            )

    def run(self, function: Callable[[T], R], tasks: Iterable[T]) -> Generator[tuple[T, R | Lost]]:
        """See `Engine`."""
        if self.workers == 1:
            for task in tasks:
                yield task, function(task)
            return
        tasks, suspects = iter(tasks), deque[T]()
        running: dict[Future[R], T] = {}
        lone: Future[R] | None = None
        count = self.workers if self.workers > 0 else os.cpu_count() or 1
        first = list(islice(tasks, count))
        count, waiting = min(count, len(first)) or 1, chain(first, tasks)
        executor = self._executor(count)
        try:
            while True:
                # when a process ends, any task that was running may be the cause: each is tried again alone
                wanted = (0 if running else 1) if suspects else 2 * count - len(running)
                for task in islice(suspects or waiting, wanted):
                    executor, future = self._submit(count, function, task)
                    running[future] = task
                    lone = future if suspects else None
                if lone in running:
                    suspects.popleft()
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    task = running.pop(future)
                    try:
                        result: R | Lost = future.result()
                    except BrokenExecutor as error:
                        if future is not lone:
                            suspects.append(task)
                            continue
                        result = Lost(_how(error))
                    yield task, result
        except BaseException:
            executor.shutdown(kill_workers=True)  # type: ignore[call-arg]  # of loky's executors
            raise

    def _submit(self, count: int, function: Callable[[T], R], task: T) -> "tuple[Executor, Future[R]]":
        while True:
            executor = self._executor(count)
            try:
                return executor, executor.submit(function, task)
            except BrokenExecutor:  # a process ended meanwhile, without work
                continue

    def _executor(self, count: int) -> "Executor":
        from joblib.externals.loky import get_reusable_executor

        threads = str(max((os.cpu_count() or 1) // count, 1))
        share = max(_total_memory() // count, _LEAST_MEMORY) if self.memory else 0
        executor: Executor = get_reusable_executor(
            max_workers=count,
            timeout=_IDLE,
            initializer=_begin,
            initargs=(os.getpid(), share),
            env={name: os.environ.get(name, threads) for name in _THREADS},
        )
        return executor


def _begin(parent: int, memory: int) -> None:
    """Prepare a process: limit its memory in bytes (0: none), and end it when its parent has ended."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    if os.name == "posix":
        threading.Thread(target=watch, daemon=True).start()
        if memory:
            import resource

            resource.setrlimit(resource.RLIMIT_DATA, (memory, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def _total_memory() -> int:
    """Bytes of this machine, 0 where that is not known."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0


def _how(error: BaseException) -> str:
    codes = re.search(r"\{(.*)\}", str(error))
    return f"its process ended{f' with {codes[1]}' if codes else ''}"
