"""A Dask cluster: an existing one, or one that is started on this machine."""

from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from typing import Any, TypeVar

from nasgauge.harness.engines.base import InvalidEngine, Lost, check_versions, versions

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Dask:
    """Tasks on a Dask cluster; one whose worker ends runs again on another.

    Raises InvalidEngine, when work begins, if the cluster cannot be reached or one of its workers has other versions;
    those that join later are not asked.
    """

    address: str = ""
    """Of a scheduler, as `tcp://10.0.0.1:8786`; empty for a cluster on this machine."""
    workers: int = -1
    """Processes of a cluster on this machine; -1 for one each core."""

    def run(self, function: Callable[[T], R], tasks: Iterable[T]) -> Generator[tuple[T, R | Lost]]:
        """See `Engine`."""
        distributed: Any = import_module("distributed")  # partly without types
        with ExitStack() as stack:
            client = self._connect(stack)
            _check(client)
            window = max(2 * sum(client.nthreads().values()), 2)
            waiting, running = iter(tasks), distributed.as_completed(loop=client.loop)
            tasks_of: dict[str, T] = {}

            def refill() -> None:
                for task in islice(waiting, window - len(tasks_of)):
                    future = client.submit(function, task, pure=False)
                    tasks_of[future.key] = task
                    running.add(future)

            refill()
            for future in running:
                task = tasks_of.pop(future.key)
                try:
                    result: R | Lost = future.result()
                except distributed.KilledWorker as error:
                    result = Lost(f"its process ended {error.allowed_failures + 1} times")
                future.release()
                yield task, result
                refill()

    def _connect(self, stack: ExitStack) -> Any:
        distributed: Any = import_module("distributed")
        if not self.address:
            count = self.workers if self.workers > 0 else None
            cluster = stack.enter_context(
                distributed.LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=None)
            )
            return stack.enter_context(distributed.Client(cluster, set_as_default=False))
        try:
            return stack.enter_context(distributed.Client(self.address, timeout=10, set_as_default=False))
        except (OSError, ValueError) as error:
            raise InvalidEngine(
                f"there is no Dask scheduler at {self.address} ({error}); give the address of one that runs, or "
                "leave it out for a cluster on this machine"
            ) from error


def _check(client: Any) -> None:
    """Ask every worker that is there for its versions."""
    try:
        client.wait_for_workers(1, timeout=120)
        found: dict[str, dict[str, str]] = client.run(versions)
    except Exception as error:  # such as a package that is missing there
        raise InvalidEngine(
            f"the Dask cluster cannot run nasgauge: {type(error).__name__}: {error}"
        ) from error
    for worker, theirs in found.items():
        check_versions(f"worker {worker} of the Dask cluster", theirs)
