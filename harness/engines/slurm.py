"""A SLURM cluster, through submitit: an array of jobs, each of which works off its share of the tasks."""

import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from nasgauge.harness.engines.base import InvalidEngine, Lost

T = TypeVar("T")
R = TypeVar("R")

REQUEUES: Final = 1000
"""Time limits that a job may reach, each followed by the next job; submitit's own default is 3."""


@dataclass(frozen=True)
class Slurm:
    """Jobs of a SLURM cluster, which share the file system with this process.

    A job that reaches its time limit goes on as the next job: with its next task, and a training from its
    checkpoint. Raises InvalidEngine, when work begins, if the cluster refuses the jobs.
    """

    jobs: int = 10
    """The most jobs at once."""
    partition: str = ""
    minutes: int = 60
    """Time limit of a job."""
    gpus: int = 0
    cpus: int = 1
    memory: int = 4
    """GiB of a job."""
    folder: Path = Path("slurm")
    """Of the scripts and logs."""
    cluster: str = "slurm"
    """`local` runs the jobs as processes of this machine."""
    poll: float = 2.0
    """Seconds between looks at the queue."""

    def run(self, function: Callable[[T], R], tasks: Iterable[T]) -> Generator[tuple[T, R | Lost]]:
        """See `Engine`."""
        every = list(tasks)
        shares = [every[start :: self.jobs] for start in range(min(self.jobs, len(every)))]
        if not shares:
            return
        running = dict(zip(self._submit([Share(function, share) for share in shares]), shares, strict=True))
        try:
            while running:
                for job in [job for job in running if job.done()]:
                    share = running.pop(job)
                    yield from zip(share, _results(job, len(share)), strict=False)
                if running:
                    time.sleep(self.poll)
        finally:
            for job in running:
                job.cancel(check=False)

    def _submit(self, shares: list["Share[T, R]"]) -> list[Any]:
        import submitit

        try:
            executor = submitit.AutoExecutor(
                folder=self.folder / "%j", cluster=self.cluster, slurm_max_num_timeout=REQUEUES
            )
            executor.update_parameters(
                name="nasgauge",
                timeout_min=self.minutes,
                cpus_per_task=self.cpus,
                gpus_per_node=self.gpus,
                mem_gb=self.memory,
                **({"slurm_partition": self.partition} if self.partition else {}),
                **({"slurm_array_parallelism": self.jobs} if self.cluster == "slurm" else {}),
            )
            with executor.batch():
                return [executor.submit(share) for share in shares]
        except (RuntimeError, OSError, submitit.core.utils.FailedJobError) as error:
            why = " ".join(str(error).split())
            raise InvalidEngine(
                f"SLURM refused the jobs ({why}); mend the partition or the limits"
            ) from error


class Share(Generic[T, R]):
    """The tasks of a job, and the results so far."""

    def __init__(self, function: Callable[[T], R], tasks: list[T]) -> None:
        self.function = function
        self.tasks = tasks
        self.results: list[R | Exception] = []
        self.ends = False

    def __call__(self) -> list[R | Exception]:
        """Work off what is left, up to the first exception, which is the last result."""
        from submitit.local.local import LOCAL_REQUEUE_RETURN_CODE

        try:
            for task in self.tasks[len(self.results) :]:
                result = self.function(task)
                if self.ends:  # the function took the exit of the job for one of its own
                    sys.exit(LOCAL_REQUEUE_RETURN_CODE)
                self.results.append(result)
        except Exception as error:  # submitit would hand its text alone back
            self.results.append(error)
        return self.results

    def checkpoint(self) -> Any:
        """What runs as the next job when this one has reached its time limit."""
        from submitit.helpers import DelayedSubmission

        following = copy(self)
        self.ends = True
        return DelayedSubmission(following)


def _results(job: Any, count: int) -> Iterator[Any]:
    """The results of a job's tasks; what a task raised is raised."""
    from submitit.core.utils import UncompletedJobError

    try:
        results = job.result()
    except UncompletedJobError:
        results = [Lost(f"its job {job.job_id} ended without a result (state {job.state})")] * count
    for result in results:
        if isinstance(result, Exception):
            raise result
        yield result
