"""The same bytes wherever units run; a worker that is killed loses nothing; bad addresses are one line."""

import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from nasgauge.cli.bench import DEFAULT_SEARCHERS
from nasgauge.data import DEFAULT_TABLE
from nasgauge.harness.engines import HERE, Engine, InvalidEngine, Local, Lost, engine_named
from nasgauge.harness.engines.base import check_versions, versions
from nasgauge.harness.records.results import Unit
from nasgauge.harness.search.campaign import Campaign, Rules
from nasgauge.harness.search.runner import Budget
from nasgauge.harness.search.schedule import SECONDS, Kind, Schedule
from nasgauge.spaces.errors import NasgaugeError

if TYPE_CHECKING:
    from nasgauge.harness.training import Habits, TrainingUnit
    from nasgauge.harness.training.loop import Step

ENGINES = {
    "dask": {"workers": "2"},
    "ray": {"workers": "2"},
    "slurm": {"cluster": "local", "jobs": "2", "poll": "0.2"},
}


@pytest.fixture
def engine(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    name: str = request.param
    pytest.importorskip({"dask": "distributed", "slurm": "submitit"}.get(name, name))
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    )
    monkeypatch.setenv("PYTHONWARNINGS", "default")  # of the engines' own processes
    options = ENGINES[name] | ({"folder": str(tmp_path / "slurm")} if name == "slurm" else {})
    return engine_named(name, options)


each_engine = pytest.mark.parametrize("engine", list(ENGINES), indirect=True)
quiet = pytest.mark.filterwarnings("default")
"""Ray and Dask warn of their own matters."""


def campaign(folder: Path, table: Path, seeds: int = 30) -> Campaign:
    names = ["random", "evolution", "local", "reinforce"]
    return Campaign.on_table(folder, names, table, seeds=seeds, rules=Rules(budget=Budget(30)))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name[0] != "."
    }


def whole_bench(folder: Path) -> Campaign:
    """`nasgauge bench` with its defaults, or with fewer seeds."""
    seeds = int(os.environ.get("NASGAUGE_TEST_SEEDS", "100"))
    return Campaign.on_table(folder, DEFAULT_SEARCHERS.split(","), DEFAULT_TABLE, seeds=seeds)


@pytest.fixture(scope="module")
def bench_here(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("bench")
    list(whole_bench(folder).run(workers=1))
    return contents(folder)


@pytest.mark.slow
@quiet
@pytest.mark.parametrize("engine", ["dask", "ray"], indirect=True)
def test_the_default_bench_has_the_same_bytes_on_a_cluster(
    engine: Engine, bench_here: dict[str, bytes], tmp_path: Path
) -> None:
    done = list(whole_bench(tmp_path).run(engine=engine))
    print(f"{len(done)} units, {sum(unit.runs for unit in done)} runs")  # noqa: T201
    assert contents(tmp_path) == bench_here
    assert whole_bench(tmp_path).missing() == []


@pytest.mark.slow
@quiet
@each_engine
def test_a_campaign_has_the_same_bytes_on_every_engine(
    engine: Engine, toy_file: Path, tmp_path: Path
) -> None:
    done = list(campaign(tmp_path / "there", toy_file).run(engine=engine))
    assert sorted(done) == sorted(campaign(tmp_path / "here", toy_file).run(workers=1))
    assert contents(tmp_path / "there") == contents(tmp_path / "here")
    assert campaign(tmp_path / "there", toy_file).missing() == []


@pytest.mark.slow
@pytest.mark.torch
@quiet
@each_engine
def test_trainings_have_the_same_bytes_on_every_engine(engine: Engine, tmp_path: Path) -> None:
    from nasgauge.harness.training import Machine
    from nasgauge.harness.training.many import train_units

    here = [Machine(device="cpu", precision="32", threads=1)]
    assert len(list(train_units(tmp_path / "there", quick_units(), here, {}, engine=engine))) == 4
    assert len(list(train_units(tmp_path / "here", quick_units(), here, {}))) == 4
    assert trained(tmp_path / "there") == trained(tmp_path / "here")
    assert len(trained(tmp_path / "here")) == 8


def quick_units(epochs: int = 2) -> "list[TrainingUnit]":
    """Four tiny trainings."""
    from nasgauge.harness.records.recipes import Recipe
    from nasgauge.harness.training import TrainingUnit
    from nasgauge.spaces.cells import Cell

    recipe = Recipe(name="quick", epochs=epochs, images=128, channels=4, cells=1)
    cells = [Cell(("skip_connect",) * 6), Cell(("nor_conv_1x1",) * 6)]
    return [TrainingUnit(cell, "made-up", recipe, seed) for cell in cells for seed in (1, 2)]


def trained(folder: Path) -> dict[str, bytes]:
    """Records and weights."""
    return {
        path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name[0] != "."
    }


@pytest.mark.slow
@pytest.mark.torch
@quiet
@pytest.mark.parametrize("engine", ["dask", "ray"], indirect=True)
def test_a_training_whose_worker_is_killed_goes_on_from_its_checkpoint(
    engine: Engine, tmp_path: Path
) -> None:
    from nasgauge.harness.training import Machine
    from nasgauge.harness.training.many import train_units

    here = [Machine(device="cpu", precision="32", threads=1)]
    list(train_units(tmp_path / "here", quick_units(), here, {}))
    (tmp_path / "there").mkdir()
    units = quick_units()
    killer = threading.Thread(target=_kill_the_writer_of, args=(units[0].checkpoint(tmp_path / "there"),))
    killer.start()
    assert len(list(train_units(tmp_path / "there", units, here, {}, engine=engine))) == 4
    killer.join()
    assert trained(tmp_path / "there") == trained(tmp_path / "here")


def _kill_the_writer_of(checkpoint: Path) -> None:
    """Wait for a checkpoint, and kill the process that has the lock of its training open."""
    lock = checkpoint.parent / f".{checkpoint.name.removesuffix('.checkpoint.safetensors')}.lock"
    for _ in range(6000):
        if checkpoint.exists():
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    held = any(link.readlink() == lock for link in (process / "fd").iterdir())
                except OSError:
                    continue
                if held and int(process.name) != os.getpid():
                    os.kill(int(process.name), signal.SIGKILL)
                    return
        time.sleep(0.005)


@pytest.mark.slow
@pytest.mark.torch
def test_a_training_at_the_time_limit_of_its_job_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    """submitit's own local jobs: the signal of a time limit, a checkpoint, the requeued job."""
    pytest.importorskip("submitit")
    from functools import partial

    from nasgauge.harness.engines.slurm import Share, Slurm
    from nasgauge.harness.training import Machine
    from nasgauge.harness.training.many import train_units
    from nasgauge.harness.training.running import Habits

    units, here = quick_units(epochs=20)[:2], [Machine(device="cpu", precision="32", threads=1)]
    list(train_units(tmp_path / "here", units, here, {}))
    engine = Slurm(cluster="local", folder=tmp_path / "slurm", poll=0.1)
    (job,) = engine._submit([Share(partial(_train_in, tmp_path / "there", Habits()), units)])
    checkpoint = units[0].checkpoint(tmp_path / "there")
    while not checkpoint.exists():
        assert not job.done()
        time.sleep(0.02)
    (child,) = _children(job._process.pid)
    os.kill(child, signal.SIGUSR2)  # as SLURM does some time before the limit
    assert job.result() == [20, 20]
    assert trained(tmp_path / "there") == trained(tmp_path / "here")
    log = "".join(path.read_text() for path in (tmp_path / "slurm").rglob("*_log.out"))
    assert "Requeued job" in log
    assert "goes on after epoch" in log


def _children(parent: int) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            of = (process / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        found += [int(process.name)] if int(of) == parent else []
    return found


def _train_in(folder: Path, habits: "Habits", unit: "TrainingUnit") -> int:
    from nasgauge.harness.training import Machine, load, train_unit

    first = True

    def say(step: "Step") -> None:
        nonlocal first
        if first and not step.epoch and 0 < step.share < 20:
            print("goes on after epoch", step.share, flush=True)  # noqa: T201
        first = False

    loaded = load("made-up", None, Machine(device="cpu", precision="32", threads=1))
    return len(train_unit(folder, unit, loaded, {}, habits=habits, on_step=say).epochs)


@pytest.mark.slow
@pytest.mark.torch
@quiet
@each_engine
def test_scores_and_a_study_are_the_same_on_every_engine(engine: Engine, tmp_path: Path) -> None:
    import numpy as np

    from nasgauge.data.images import made_up
    from nasgauge.harness.proxies.registry import proxies
    from nasgauge.harness.proxies.score_files import Recipe, read
    from nasgauge.harness.proxies.scores import Scorer, classes, score_cells
    from nasgauge.harness.proxies.sizes import Plan, measure
    from nasgauge.harness.proxies.sizes import read as read_sizes
    from nasgauge.studies.predictors import Protocol, trials

    images = made_up(40, np.random.default_rng(0))
    recipe = Recipe(
        images="made-up", kappa_batch=4, repeats=1, region_samples=40, channels=2, cells=1, batch=4
    )
    scorer = Scorer(recipe, images, named=proxies(["kappa", "regions", "naswot", "snip"]))
    plan = Plan(images_md5="", batches=(4,), samples=(40,), repeats=2)
    protocol = Protocol(surrogates=("forest",), cells=20, trials=1, resamples=5)
    accuracy = np.random.default_rng(0).uniform(50, 95, 15625)
    made = {}
    for name, where in (("here", HERE), ("there", engine)):
        folder = tmp_path / name
        assert [*score_cells(scorer, folder, classes()[:6], in_file=2, engine=where)][-1] == (6, 6)
        assert [*measure(classes()[:3], images, plan, folder / "sizes.parquet", where)][-1] == (3, 3)
        scores = [
            [score._replace(seconds=0.0) for score in read(folder / f"part-{start:05d}.parquet")[1]]
            for start in (0, 2, 4)
        ]
        sizes = [value._replace(seconds=0.0) for value in read_sizes(folder / "sizes.parquet", plan)]
        made[name] = repr((scores, sizes, list(trials(accuracy, protocol, engine=where))))
    assert made["there"] == made["here"]


def _square(task: tuple[int, str]) -> int:
    """5 ends its process once, as one that is killed."""
    number, folder = task
    mark = Path(folder) / f"{number}-{time.time_ns()}"
    mark.touch()
    time.sleep(0.05)
    if number == 5 and len(list(Path(folder).glob("5-*"))) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number**2


@pytest.mark.slow
@quiet
@pytest.mark.parametrize("engine", ["dask", "ray"], indirect=True)
def test_a_worker_that_is_killed_loses_nothing(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "marks").mkdir()
    results = list(engine.run(_square, [(number, str(tmp_path / "marks")) for number in range(12)]))
    assert sorted((number, result) for (number, _), result in results) == [(n, n**2) for n in range(12)]


def _end(_task: int) -> None:
    os._exit(3)


@pytest.mark.slow
@quiet
@each_engine
def test_a_task_that_always_ends_its_process_is_lost(engine: Engine) -> None:
    ((_, result),) = engine.run(_end, [1])
    assert isinstance(result, Lost)


def _refuse(_task: int) -> None:
    raise InvalidEngine("as it was raised")


@pytest.mark.slow
@quiet
@each_engine
def test_what_a_task_raises_is_raised_here(engine: Engine) -> None:
    with pytest.raises(InvalidEngine, match="as it was raised"):
        list(engine.run(_refuse, [1, 2]))


@pytest.mark.slow
@quiet
@pytest.mark.parametrize("name", ["dask", "ray"])
def test_an_address_without_a_cluster_is_one_line_and_harms_nothing(
    name: str, toy_file: Path, tmp_path: Path
) -> None:
    pytest.importorskip({"dask": "distributed"}.get(name, name))
    list(campaign(tmp_path, toy_file, seeds=10).run(workers=1))
    before = contents(tmp_path)
    address = "tcp://127.0.0.1:9" if name == "dask" else "127.0.0.1:9"
    with pytest.raises(InvalidEngine, match=f"there is no .* at {address}") as raised:
        list(campaign(tmp_path, toy_file, seeds=20).run(engine=engine_named(name, {"address": address})))
    assert "\n" not in str(raised.value)
    after = contents(tmp_path)
    assert {name: after[name] for name in before if name != "campaign.json"} == {
        name: text for name, text in before.items() if name != "campaign.json"
    }


def test_other_versions_are_named() -> None:
    check_versions("it", versions())
    with pytest.raises(InvalidEngine, match=r"it has pyarrow 1\.0, here is .*; install the same there"):
        check_versions("it", versions() | {"pyarrow": "1.0"})


class _Cluster:
    """Three workers, or nodes, the last of which has another NumPy."""

    def __init__(self, *, cpus: int = 1) -> None:
        first, second, third = (digit * 56 for digit in "123")  # as Ray names nodes
        self.versions = {first: versions(), second: versions(), third: versions() | {"numpy": "1.0"}}
        self.cpus = {first: 1, second: 1, third: cpus}

    def nodes(self) -> list[dict[str, object]]:
        return [
            {"NodeID": name, "Alive": True, "Resources": {"CPU": cpus}} for name, cpus in self.cpus.items()
        ]

    def get(self, asked: str, timeout: float) -> dict[str, str]:
        assert timeout
        return self.versions[asked]

    def remote(self, _function: object) -> "_Cluster":
        return self

    def options(self, *, scheduling_strategy: Any, **_none: int) -> Any:
        return SimpleNamespace(remote=lambda: scheduling_strategy.node_id)

    def run(self, _function: object) -> dict[str, dict[str, str]]:
        return self.versions

    def wait_for_workers(self, count: int, timeout: float) -> None:
        assert count
        assert timeout


def test_every_node_of_a_ray_cluster_is_asked_for_its_versions() -> None:
    pytest.importorskip("ray")
    from nasgauge.harness.engines.ray import Ray, _check

    cluster = _Cluster()
    with pytest.raises(InvalidEngine, match=r"node 33333333 of the Ray cluster has numpy 1\.0, here is"):
        _check(cluster, cluster.remote, Ray()._nodes(cluster))
    without_room = _Cluster(cpus=0)  # such as a head node, on which no task runs
    _check(without_room, without_room.remote, Ray()._nodes(without_room))


def test_every_worker_of_a_dask_cluster_is_asked_for_its_versions() -> None:
    from nasgauge.harness.engines.dask import _check

    with pytest.raises(InvalidEngine, match=r"worker 3+ of the Dask cluster has numpy 1\.0, here is"):
        _check(_Cluster())


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("spark", {}, "unknown engine 'spark'; choose from local, ray, dask, slurm"),
        ("local", {"address": "x"}, "engine local has no option 'address'; its options: workers, memory"),
        ("local", {"workers": "two"}, "workers takes a value like -1, not 'two'"),
        ("local", {"workers": "0"}, "0 workers run nothing"),
        ("local", {"workers": "9999999"}, "9999999 workers are more than this machine takes; give at most"),
    ],
)
def test_engines_that_cannot_be_are_one_line(name: str, options: dict[str, str], says: str) -> None:
    with pytest.raises(InvalidEngine) as raised:
        engine_named(name, options)
    assert says in str(raised.value)


def test_there_are_no_more_processes_than_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting them takes longer than most tasks."""
    asked = []
    original = Local._executor

    def executor(self: Local, count: int) -> Any:
        asked.append(count)
        return original(self, count)

    monkeypatch.setattr(Local, "_executor", executor)
    assert dict(Local(50).run(abs, [-2, 1])) == {-2: 2, 1: 1}
    assert set(asked) == {2}


# --- SLURM

FAKE = """#!{python}
import pathlib, sys
log = pathlib.Path({folder!r})
script = pathlib.Path(sys.argv[-1])
(log / "script.sh").write_text(script.read_text())
if {refuses}:
    print("sbatch: error: invalid partition specified: nowhere", file=sys.stderr)
    sys.exit(1)
print("Submitted batch job 77")
"""


def slurm(folder: Path, monkeypatch: pytest.MonkeyPatch, *, refuses: bool) -> None:
    """Commands of SLURM that keep the script that they get."""
    for name, text in {
        "sbatch": FAKE.format(python=sys.executable, folder=str(folder), refuses=refuses),
        "squeue": "#!/bin/sh\n",
        "scancel": f"#!/bin/sh\necho $@ >> {folder}/cancelled\n",
        "sacct": "#!/bin/sh\necho 'JobID|State|NodeList'\nfor i in 0 1 2; do echo \"77_$i|RUNNING|node\"; done\n",
        "srun": "#!/bin/sh\n",
    }.items():
        path = folder / name
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_the_script_that_slurm_gets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit")
    slurm(tmp_path, monkeypatch, refuses=False)
    options = {
        "partition": "gpu",
        "minutes": "90",
        "gpus": "1",
        "jobs": "3",
        "folder": str(tmp_path / "logs"),
    }
    running = engine_named("slurm", options).run(_square, [(number, str(tmp_path)) for number in range(10)])
    with pytest.raises(TimeoutError):
        _first_within(running, 3.0)
    script = (tmp_path / "script.sh").read_text()
    for directive in (
        "partition=gpu",
        "time=90",
        "gpus-per-node=1",
        "array=0-2%3",
        "job-name=nasgauge",
        "signal=",
    ):
        assert f"#SBATCH --{directive}" in script, script
    assert "77_0" in (tmp_path / "cancelled").read_text()


def _first_within(running: Iterator[object], seconds: float) -> object:
    def late(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return next(running)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_partition_that_does_not_exist_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit")
    slurm(tmp_path, monkeypatch, refuses=True)
    engine = engine_named("slurm", {"partition": "nowhere", "folder": str(tmp_path / "logs")})
    with pytest.raises(InvalidEngine, match="invalid partition specified: nowhere") as raised:
        list(engine.run(_square, [(1, str(tmp_path))]))
    assert "\n" not in str(raised.value)


def test_a_job_at_its_time_limit_goes_on_with_its_next_task() -> None:
    pytest.importorskip("submitit")
    from nasgauge.harness.engines.slurm import Share

    asked: list[int] = []

    def until_the_limit(task: int) -> int:
        asked.append(task)
        if asked == [1, 2]:
            raise KeyboardInterrupt
        return task

    share = Share(until_the_limit, [1, 2, 3])
    with pytest.raises(KeyboardInterrupt):
        share()
    following = share.checkpoint().function
    assert following() == [1, 2, 3]
    assert asked == [1, 2, 2, 3]


def test_an_exit_of_the_job_is_not_that_of_a_searcher() -> None:
    """A campaign catches what searchers raise, also the exit by which submitit ends a job at its time limit."""
    pytest.importorskip("submitit")
    from nasgauge.harness.engines.slurm import Share

    following: list[Share[int, str]] = []

    def caught(task: int) -> str:
        if task == 2 and not following:
            following.append(share.checkpoint().function)
            return "it exits"
        return "done"

    share = Share(caught, [1, 2, 3])
    with pytest.raises(SystemExit):
        share()
    assert following[0]() == ["done"] * 3


# --- how units are handed out


def makespan(workers: int, costs: dict[Kind, float], units: int, *, planned: bool) -> tuple[float, list[int]]:
    """Seconds that workers need, each with the next task when it has ended its last; and all units."""
    jobs = [(kind, (kind, number)) for number in range(units) for kind in costs]
    schedule = Schedule(jobs)
    tasks = iter(schedule) if planned else ([job] for _, job in jobs)
    ends, made, done = [0.0] * workers, [], []
    for task in tasks:
        worker = min(range(workers), key=ends.__getitem__)
        kind = task[0][0]
        spent = sum(costs[kind] for _ in task)
        ends[worker] += spent
        done.append((ends[worker], kind, len(task), spent))
        made += [number for _, number in task]
        for end in sorted(done):
            if end[0] <= min(ends):  # its result is known by now
                schedule.took(*end[1:])
                done.remove(end)
    return max(ends), made


@pytest.mark.parametrize("workers", [2, 10, 40])
def test_the_last_worker_is_not_waited_for(workers: int) -> None:
    costs = {Kind("random", "d"): 0.01, Kind("evolution", "d"): 0.1, Kind("bananas", "d"): 30.0}
    planned, made = makespan(workers, costs, 50, planned=True)
    assert sorted(made) == sorted(number for number in range(50) for _ in costs)
    ideal = 50 * sum(costs.values()) / workers
    assert planned <= ideal + max(costs.values()) + 2 * SECONDS


def test_short_units_go_many_to_a_task() -> None:
    kind = Kind("random", "d")
    schedule = Schedule([(kind, Unit("random", "d", first, first)) for first in range(1000)])
    tasks = iter(schedule)
    assert len(next(tasks)) == 1
    schedule.took(kind, 1, 0.01)
    assert len(next(tasks)) == 200
    assert len(schedule.drop("random")) == 799
    assert list(tasks) == []


def test_errors_are_ours() -> None:
    assert issubclass(InvalidEngine, NasgaugeError)
