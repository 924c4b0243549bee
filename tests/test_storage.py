"""Results that are kept at a URL: on a disk, in fsspec's memory and on an S3 server have the same bytes as in a folder."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

from nasgauge.analysis.results.campaign import load
from nasgauge.data import storage
from nasgauge.data.sealed import MEASURED
from nasgauge.data.storage import LEASE, MARK, StorageFailed, StorageInUse, Store
from nasgauge.data.tables import AccuracyTable
from nasgauge.harness.records.steps import DamagedRecord
from nasgauge.harness.search.campaign import Campaign, Rules
from nasgauge.harness.search.runner import Budget
from nasgauge.spaces.errors import MissingExtra
from nasgauge.verification import verify

pytest.importorskip("fsspec")


@pytest.fixture(scope="session")
def bucket() -> Iterator[str]:
    """A bucket of moto's S3 server, which runs meanwhile."""
    for package in ("moto", "flask", "flask_cors", "boto3", "s3fs"):
        pytest.importorskip(package)
    import boto3
    from joblib.externals.loky import get_reusable_executor

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_MAX_ATTEMPTS": "1",
        }.items():
            patch.setenv(name, value)
        get_reusable_executor().shutdown(kill_workers=True)  # those that are there do not know the variables
        try:
            for _ in range(300):
                with socket.socket() as probe:
                    if not probe.connect_ex(("127.0.0.1", port)):
                        break
                time.sleep(0.1)
            boto3.client("s3").create_bucket(Bucket="results")
            yield "s3://results"
        finally:
            server.kill()


@pytest.fixture(params=["disk", "memory", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place where nothing is yet."""
    if request.param == "disk":
        return str(tmp_path / "disk")
    if request.param == "memory":
        return f"memory://{uuid4().hex}"
    return f"{request.getfixturevalue('bucket')}/{uuid4().hex}"


def campaign(folder: Path, table: Path | AccuracyTable, url: str = "", seeds: int = 20) -> Campaign:
    rules = Rules(budget=Budget(30))
    return Campaign.on_table(folder, ["random", "local"], table, seeds=seeds, rules=rules, storage=url)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name[0] != "."
    }


def at(url: str, name: str) -> Any:
    """The file system of a URL, and the path of a file there."""
    from fsspec.core import url_to_fs

    fs, root = url_to_fs(Store.of(Path(), url).url)
    fs.invalidate_cache()
    return fs, f"{root}/{name}"


pytestmark = pytest.mark.filterwarnings("ignore:Your installed version of s3fs")


def test_the_bytes_are_those_of_a_folder_and_another_machine_goes_on(
    url: str, toy_file: Path, tmp_path: Path
) -> None:
    list(campaign(tmp_path / "whole", toy_file).run(workers=1))
    list(campaign(tmp_path / "here", toy_file, url, seeds=10).run(workers=1))
    there = campaign(tmp_path / "there", toy_file, url)  # knows nothing but the URL
    assert sum(unit.runs for unit in there.missing()) == 20
    list(there.run(workers=1))
    assert contents(tmp_path / "there") == contents(tmp_path / "whole")
    measured = {path.name for path in (tmp_path / "there" / MEASURED).iterdir()}
    assert measured == {path.name for path in (tmp_path / "whole").glob("*.parquet")}
    fresh = Store.of(tmp_path / "report", url)
    fresh.bring()
    assert contents(fresh.folder) == contents(tmp_path / "whole")
    assert set(fresh.names()) == {*contents(fresh.folder), *(f"{MEASURED}/{name}" for name in measured)}
    assert load(fresh.folder).searchers == ["local", "random"]
    assert verify(fresh.folder, rerun=1).problems == []
    assert campaign(tmp_path / "here", toy_file, url).missing() == []


def test_a_table_without_a_name_is_kept_there_too(url: str, toy: AccuracyTable, tmp_path: Path) -> None:
    assert len(list(campaign(tmp_path / "here", toy, url).run(workers=1))) == 4
    assert "table.npz" in Store.of(tmp_path / "other", url).names()


@pytest.mark.parametrize("engine", ["local", pytest.param("dask", marks=pytest.mark.slow)])
def test_workers_share_no_folder_with_the_process_that_started_them(
    engine: str, bucket: str, toy_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unit files come to the folder by way of the bucket alone: their writers have temporary folders."""
    from nasgauge.harness.engines import engine_named

    if engine == "dask":
        pytest.importorskip("distributed")
    url = f"{bucket}/{uuid4().hex}"
    monkeypatch.setenv("PYTHONWARNINGS", "default")
    made = campaign(tmp_path / "here", toy_file, url)
    list(made.run(engine=engine_named(engine, {"workers": "2"})))
    list(campaign(tmp_path / "whole", toy_file).run(workers=1))
    assert contents(tmp_path / "here") == contents(tmp_path / "whole")


def test_a_campaign_that_is_stopped_keeps_what_is_there(url: str, toy_file: Path, tmp_path: Path) -> None:
    running = campaign(tmp_path / "here", toy_file, url).run(workers=1)
    next(iter(running))
    running.close()  # type: ignore[attr-defined]  # a generator
    assert sum(unit.runs for unit in campaign(tmp_path / "there", toy_file, url).missing()) == 30
    assert Store.of(tmp_path / "there", url)._lease() == {}


def test_a_damaged_file_there_is_named(url: str, toy_file: Path, tmp_path: Path) -> None:
    list(campaign(tmp_path / "here", toy_file, url).run(workers=1))
    fs, path = at(url, "random@toy@00000-00009.parquet")
    whole = fs.cat_file(path)
    fs.pipe_file(path, whole[:500] + bytes([whole[500] ^ 1]) + whole[501:])
    with pytest.raises(DamagedRecord, match=r"random@toy@00000-00009\.parquet (is damaged|was altered)"):
        campaign(tmp_path / "there", toy_file, url, seeds=30).missing()


def test_a_copy_follows_what_is_there(url: str, tmp_path: Path) -> None:
    """Files that were written again with the same size, and files that were removed."""
    there, copy = (Store.of(tmp_path / name, url) for name in ("there", "copy"))
    names = ("a.parquet", "b.parquet", f"{MEASURED}/b.parquet")
    for name in names:
        (there.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (there.folder / name).write_bytes(b"one")
    there.keep(*(there.folder / name for name in names))
    copy.bring()
    (copy.folder / "own.parquet").write_bytes(b"own")
    written = (copy.folder / "b.parquet").stat().st_mtime_ns
    (there.folder / "a.parquet").write_bytes(b"two")
    there.keep(there.folder / "a.parquet")
    copy.bring()
    assert (copy.folder / "a.parquet").read_bytes() == b"two"
    assert (copy.folder / "b.parquet").stat().st_mtime_ns == written
    for name in names[1:]:
        (there.folder / name).unlink()
    there.keep(*(there.folder / name for name in names))
    copy.bring()
    assert {path.name for path in copy.folder.rglob("*.parquet")} == {"a.parquet", "own.parquet"}


def test_the_memory_of_a_process_is_no_storage_of_several(toy_file: Path, tmp_path: Path) -> None:
    made = campaign(tmp_path / "here", toy_file, f"memory://{uuid4().hex}")
    with pytest.raises(StorageFailed, match="is the memory of one process; give --workers 1, or a path"):
        list(made.run(workers=2))
    assert not (tmp_path / "here").exists()


def test_names_from_there_are_not_paths(url: str, toy_file: Path, tmp_path: Path) -> None:
    list(campaign(tmp_path / "here", toy_file, url).run(workers=1))
    store = Store.of(tmp_path / "inner" / "there", url)
    for name in ("../victim", "/victim", "a/../../victim", ".hidden", "a/.hidden", "a\\..\\victim"):
        assert not storage._is_plain(name)
    fs, path = at(url, ".hidden")
    fs.pipe_file(path, b"x")
    store.bring()
    assert not (store.folder / ".hidden").exists()
    assert {path.name for path in tmp_path.iterdir()} <= {"here", "inner", "disk"}


# --- one campaign at a time


def test_a_second_campaign_is_refused_until_the_lease_of_a_killed_one_has_ended(
    url: str, toy_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (campaign(tmp_path / name, toy_file, url) for name in ("one", "two"))
    running = iter(first.run(workers=1))
    next(running)
    with pytest.raises(StorageInUse, match=rf"by process {os.getpid()} on .* wait until that has ended"):
        list(second.run(workers=1))
    fs, path = at(url, LEASE)
    killed = json.loads(fs.cat_file(path))
    list(running)
    fs.pipe_file(path, json.dumps(killed | {"token": "of the killed one"}).encode())
    with pytest.raises(StorageInUse):
        list(second.run(workers=1))
    monkeypatch.setattr(storage, "STALE", 0.0)
    list(second.run(workers=1))
    assert not fs.exists(path)


def test_a_campaign_that_lost_its_lease_stops(
    url: str, toy_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "BEAT", 0.05)
    before = threading.enumerate()
    running = iter(campaign(tmp_path / "one", toy_file, url).run(workers=1))
    next(running)
    fs, path = at(url, LEASE)
    other = json.dumps({"token": "x", "time": time.time(), "host": "other", "process": 7, "command": "bench"})
    started = set(threading.enumerate()).difference(before)
    renewal = next(thread for thread in started if thread.name.endswith("(renew)"))
    end = time.monotonic() + 60
    while renewal.is_alive() and time.monotonic() < end:  # a renewal may be on its way and overwrite it
        fs.pipe_file(path, other.encode())
        renewal.join(0.2)
    with pytest.raises(StorageInUse, match=r"by process 7 on other \(bench\)"):
        list(running)
    assert fs.exists(path)  # it is the other one's
    fs.rm(path)
    list(campaign(tmp_path / "one", toy_file, url).run(workers=1))
    list(campaign(tmp_path / "whole", toy_file).run(workers=1))
    assert contents(tmp_path / "one") == contents(tmp_path / "whole")


def test_two_that_begin_at_once_end_with_the_same_bytes(bucket: str, toy_file: Path, tmp_path: Path) -> None:
    url, barrier = f"{bucket}/{uuid4().hex}", Barrier(2)

    def begin(name: str) -> str:
        made = campaign(tmp_path / name, toy_file, url)
        made.missing()
        barrier.wait()
        try:
            list(made.run(workers=1))
        except StorageInUse:
            return "refused"
        return "made"

    with ThreadPoolExecutor(2) as pool:
        ended = set(pool.map(begin, ("one", "two")))
    assert ended <= {"made", "refused"}
    list(campaign(tmp_path / "after", toy_file, url).run(workers=1))
    list(campaign(tmp_path / "whole", toy_file).run(workers=1))
    assert contents(tmp_path / "after") == contents(tmp_path / "whole")


# --- bad storage


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (
            "ftp://host/x",
            "storage ftp://host/x has an unknown scheme; give a path, s3:// or gs://",
        ),
        ("s3://", "storage s3:// names no place"),
        ("s3://nobody-s-bucket/x", "cannot be"),
        ("/proc/x", "cannot be written to"),
    ],
)
def test_storage_that_cannot_be_used_is_one_line_and_nothing_is_written(
    url: str,
    says: str,
    bucket: str,
    toy_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from nasgauge.cli import main

    assert bucket
    monkeypatch.chdir(tmp_path)
    command = ["search", "random", "-n", "2", "-b", "5", "-j", "1", "-t", str(toy_file), "-o", "out"]
    monkeypatch.setattr(sys, "argv", ["nasgauge", *command, "--storage", url])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert (ended.value.code, "Traceback" in said) == (2, False)
    assert says in " ".join(said.split())
    assert not (tmp_path / "out").exists()


def test_storage_that_fails_in_the_middle_damages_nothing(
    toy_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = str(tmp_path / "disk")
    list(campaign(tmp_path / "here", toy_file, url, seeds=10).run(workers=1))
    before = contents(tmp_path / "disk")
    put, count = Store._put, iter(range(100))

    def fails(self: Store, name: str, content: bytes) -> None:
        if next(count) > 5:
            raise StorageFailed(f"storage {self.url} cannot be written to (no room)")
        put(self, name, content)

    monkeypatch.setattr(Store, "_put", fails)
    with pytest.raises(StorageFailed, match="no room"):
        list(campaign(tmp_path / "here", toy_file, url, seeds=40).run(workers=1))
    monkeypatch.undo()
    after = contents(tmp_path / "disk")
    assert {name: after[name] for name in before if name != "campaign.json"} == {
        name: content for name, content in before.items() if name != "campaign.json"
    }
    list(campaign(tmp_path / "here", toy_file, url, seeds=40).run(workers=1))
    list(campaign(tmp_path / "whole", toy_file, seeds=40).run(workers=1))
    one, other = (load(tmp_path / name).runs["toy", "local"] for name in ("here", "whole"))
    np.testing.assert_array_equal(one.incumbent, other.incumbent)


def test_a_folder_is_a_copy_of_one_place(url: str, toy_file: Path, tmp_path: Path) -> None:
    list(campaign(tmp_path / "here", toy_file, url).run(workers=1))
    assert (tmp_path / "here" / MARK).exists()
    with pytest.raises(StorageFailed, match=r"is a copy of .*; add --storage"):
        list(campaign(tmp_path / "here", toy_file, seeds=30).run(workers=1))
    with pytest.raises(StorageFailed, match=r"is a copy of .*; add --storage"):
        campaign(tmp_path / "here", toy_file, str(tmp_path / "another")).missing()
    list(campaign(tmp_path / "own", toy_file).run(workers=1))
    before = contents(tmp_path / "own")
    with pytest.raises(StorageFailed, match="holds files that are not from"):
        campaign(tmp_path / "own", toy_file, url).missing()
    assert contents(tmp_path / "own") == before
    shutil.rmtree(tmp_path / "here")
    assert campaign(tmp_path / "here", toy_file, url).missing() == []


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(storage, "find_spec", lambda name: None if name == "gcsfs" else name)
    with pytest.raises(MissingExtra, match=r'package gcsfs.*pip install "nasgauge\[gs\]"'):
        Store.of(tmp_path, "gs://bucket/x")


# --- trainings


@pytest.mark.torch
def test_a_training_goes_on_elsewhere_from_the_checkpoint_that_is_kept(url: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from nasgauge.harness.records.recipes import Recipe
    from nasgauge.harness.training import Machine, TrainingUnit, train_unit
    from nasgauge.harness.training.loaded import load as load_images
    from nasgauge.harness.training.many import train_units
    from nasgauge.spaces.cells import Cell

    recipe = Recipe(name="quick", epochs=3, images=64, channels=2, cells=1)
    unit = TrainingUnit(Cell(("skip_connect",) * 6), "made-up", recipe, 777)
    machine = Machine(device="cpu", precision="32", threads=1)
    loaded = load_images("made-up", None, machine)
    train_unit(tmp_path / "whole", unit, loaded, {})

    def stop(epoch: Any) -> None:
        if epoch.epoch == 2:
            raise KeyboardInterrupt

    with Store.of(Path(), url).elsewhere() as one, pytest.raises(KeyboardInterrupt):
        train_unit(one.folder, unit, loaded, {}, on_epoch=stop, store=one)
    assert unit.checkpoint(Path()).name in Store.of(tmp_path / "x", url).names()
    ((_, record),) = train_units(tmp_path / "there", [unit], [machine], {}, storage=url)
    assert record.finished
    assert list(train_units(tmp_path / "there", [], [], {}, storage=url)) == []
    files = {unit.record(Path()).name, unit.weights(Path()).name}
    for name in files:
        assert (tmp_path / "there" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert set(Store.of(tmp_path / "x", url).names()) == files | {f"{MEASURED}/{unit.record(Path()).name}"}
