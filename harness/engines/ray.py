"""A Ray cluster: an existing one, or one that is started on this machine."""

import socket
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from nasgauge.harness.engines.base import InvalidEngine, Lost, check_versions, versions

T = TypeVar("T")
R = TypeVar("R")

RETRIES = 2
"""How often a task is run again after its process or node ended."""


@dataclass(frozen=True)
class Ray:
    """Tasks on a Ray cluster. Each asks for `cpus` and `gpus`; one whose node dies runs again on another.

    Raises InvalidEngine, when work begins, if the cluster cannot be reached or one of its nodes has other versions.
    """

    address: str = ""
    """Of a cluster, as `auto` or `10.0.0.1:6379`; empty for one on this machine."""
    workers: int = -1
    """Processors of a cluster on this machine; -1 for all."""
    cpus: float = 1.0
    gpus: float = 0.0

    def run(self, function: Callable[[T], R], tasks: Iterable[T]) -> Generator[tuple[T, R | Lost]]:
        """See `Engine`."""
        import ray

        ours = not ray.is_initialized()
        if ours:
            self._connect(ray)
        try:
            remote: Any = ray.remote(num_cpus=self.cpus, num_gpus=self.gpus, max_retries=RETRIES)
            call, shared = remote(_call), ray.put(function)
            _check(ray, remote, self._nodes(ray))
            cores: float = ray.cluster_resources().get("CPU", 1)  # type: ignore[no-untyped-call] # its own has no types
            window = max(2 * int(cores), 2)
            waiting, running = iter(tasks), dict[Any, T]()
            while True:
                for task in islice(waiting, window - len(running)):
                    running[call.remote(shared, task)] = task
                if not running:
                    return
                for done in ray.wait(list(running), num_returns=1)[0]:
                    yield running.pop(done), _result(ray, done)
        finally:
            if ours:
                ray.shutdown()

    def _nodes(self, ray: Any) -> list[str]:
        """The nodes that tasks can run on."""
        found = [(node["NodeID"], node["Resources"]) for node in ray.nodes() if node["Alive"]]
        return [
            node for node, has in found if has.get("CPU", 0) >= self.cpus and has.get("GPU", 0) >= self.gpus
        ]

    def _connect(self, ray: Any) -> None:
        host, _, port = self.address.removeprefix("ray://").rpartition(":")
        here = {} if self.address else {"num_cpus": self.workers if self.workers > 0 else None}
        try:
            if host:  # Ray itself would try for minutes
                socket.create_connection((host, int(port)), timeout=10).close()
            ray.init(
                address=self.address or "local",
                include_dashboard=None if self.address else False,
                log_to_driver=False,
                logging_level="error",
                **here,
            )
        except (OSError, RuntimeError, ValueError) as error:
            raise InvalidEngine(
                f"there is no Ray cluster at {self.address or 'this machine'} ({_line(error)}); give the address "
                "of one that runs, or leave it out for one on this machine"
            ) from error


def _call(function: Callable[[T], R], task: T) -> R:
    return function(task)


def _check(ray: Any, remote: Any, nodes: list[str]) -> None:
    """Ask every node for its versions; one of the whole cluster, where none that is there yet has room for a task."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    where = {
        f"node {node[:8]} of the Ray cluster": NodeAffinitySchedulingStrategy(node, soft=False)
        for node in nodes
    }
    asked = {
        name: remote(versions).options(num_cpus=0, num_gpus=0, scheduling_strategy=on).remote()
        for name, on in where.items()
    } or {"the Ray cluster": remote(versions).remote()}
    for name, answer in asked.items():
        try:
            theirs = ray.get(answer, timeout=120)
        except Exception as error:  # such as a package that is missing there
            raise InvalidEngine(f"{name} cannot run nasgauge: {_line(error)}") from error
        check_versions(name, theirs)


def _result(ray: Any, done: Any) -> Any:
    try:
        return ray.get(done)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except ray.exceptions.RayError as error:  # its process or node ended, each time it was tried
        return Lost(f"its process ended {RETRIES + 1} times: {_line(error)}")


def _line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
