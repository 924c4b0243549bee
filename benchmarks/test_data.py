"""Speed and memory of tables: opening, importing, asking; imports of official records against the official package."""

import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasgauge.data.curves import Curves
from nasgauge.data.importers import EXPORTS, import_exports, import_official
from nasgauge.data.sources import open_table
from nasgauge.data.tables import AccuracyTable, Column, Metric, Split, View
from nasgauge.harness.search.oracle import SearchMetric, Table
from nasgauge.spaces.cells import N_CELLS
from nasgauge.spaces.nb201 import NB201

ROOT = Path(__file__).resolve().parents[1]
RAW = ROOT.parent / "shared" / "nb201" / "raw"
RECORDS = RAW / "NATS-tss-v1_0-3ffb9-simple"
needs_exports = pytest.mark.skipif(not RAW.is_dir(), reason=f"the public exports are not in {RAW}")


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table as large as one of the official file: every fidelity, split, seed and dataset."""
    rng = np.random.default_rng(0)
    columns: dict[Column, Any] = {}
    splits: dict[str, tuple[Split, ...]] = {
        "cifar10-valid": ("train", "valid", "test"),
        "cifar10": ("train", "test"),
        "cifar100": ("train", "valid", "test", "valtest"),
        "ImageNet16-120": ("train", "valid", "test", "valtest"),
    }
    metrics: tuple[Metric, ...] = ("accuracy", "loss", "seconds")
    for dataset, names in splits.items():
        for epochs, seeds in ((12, (111, 777, "mean")), (200, (777, 888, 999, "mean"))):
            for split in names:
                for seed in seeds:
                    for metric in metrics:
                        columns[Column(dataset, epochs, split, seed, metric)] = rng.random(N_CELLS)  # type: ignore[arg-type]
    view = View(Column("cifar10-valid", 12, "valid", "mean"), Column("cifar10", 200, "test", "mean"))
    path = tmp_path_factory.mktemp("full") / "full.npz"
    AccuracyTable(
        name="full", limits="made up", source_sha256="", columns=columns, views={"cifar10": view}
    ).save(path)
    return path


def test_open_a_table_of_everything(benchmark: Any, full: Path) -> None:
    table = benchmark(AccuracyTable.load, full)
    megabytes = sum(values.nbytes for values in table.columns.values()) / 1e6
    benchmark.extra_info |= {"columns": len(table.columns), "megabytes": round(megabytes, 1)}


def test_open_nb201(benchmark: Any) -> None:
    """Goal: under 30 ms."""
    benchmark(open_table, "nb201")


@needs_exports
def test_import_the_public_exports(benchmark: Any) -> None:
    benchmark(import_exports, {name: RAW / name for name in EXPORTS})


@needs_exports
def test_import_official_records(benchmark: Any, tmp_path: Path) -> None:
    benchmark(import_official, RECORDS, name="three", curves=tmp_path / "three.curves.npy", partial=True)


def test_ask_an_oracle(benchmark: Any, full: Path) -> None:
    oracle = Table(AccuracyTable.load(full), "cifar10")
    cells = list(NB201())[:1000]
    benchmark(lambda: [oracle.evaluate(cell) for cell in cells])


def test_ask_a_noisy_oracle(benchmark: Any, full: Path) -> None:
    oracle = Table(AccuracyTable.load(full), "cifar10", metric=SearchMetric.parse("12/valid/random"))
    ready = oracle.for_run(np.random.default_rng(0))
    cells = list(NB201())[:1000]
    benchmark(lambda: [ready.evaluate(cell) for cell in cells])


@needs_exports
def test_curves_are_read_where_they_lie(benchmark: Any, tmp_path: Path) -> None:
    path = tmp_path / "three.curves.npy"
    table = import_official(RECORDS, name="three", curves=path, partial=True)
    rank = int(np.flatnonzero(~np.isnan(table.column(Column("cifar10", 200, "test", 777))))[0])
    cell, column = NB201()[rank], Column("cifar10", 200, "test", 777)
    curves = Curves.load(path)
    benchmark(lambda: curves.curve(cell, column))


MEASURE = """
import sys, time
from pathlib import Path
start = time.process_time()
if sys.argv[1] == "ours":
    from nasgauge.data.importers import import_official
    start = time.process_time()
    import_official(Path(sys.argv[2]), name="x", partial=True)
else:
    import torch
    from nas_201_api import NASBench201API
    load = torch.load
    torch.load = lambda *args, **options: load(*args, **{**options, "weights_only": False})
    start = time.process_time()
    NASBench201API(sys.argv[2], verbose=False)
seconds = time.process_time() - start
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(seconds, int(peak.split()[1]) / 1024)
"""
"""CPU seconds and peak memory in MB of one import, in a process of its own."""


@pytest.mark.slow
@needs_exports
def test_a_pth_against_the_official_package(benchmark: Any, tmp_path: Path) -> None:
    """CPU time for each further cell, ours and theirs, and the growth of memory: files of 100 and 300 cells."""
    figures: dict[str, list[tuple[float, float]]] = {"ours": [], "theirs": []}
    for cells in (100, 300):
        path = tmp_path / f"{cells}.pth"
        subprocess.run([sys.executable, "-c", MAKE, str(RECORDS), str(path), str(cells)], check=True)
        for who, found in figures.items():
            repeats = [
                subprocess.run(
                    [sys.executable, "-c", MEASURE, who, str(path)],
                    capture_output=True,
                    text=True,
                    check=True,
                    cwd=ROOT,
                ).stdout.split()
                for _ in range(4)
            ]
            found.append(min((float(seconds), float(peak)) for seconds, peak in repeats))
    for who, ((first, low), (second, high)) in figures.items():
        benchmark.extra_info[f"{who}: ms a cell"] = round((second - first) / 200 * 1000, 2)
        benchmark.extra_info[f"{who}: MB a cell"] = round((high - low) / 200, 3)
        benchmark.extra_info[f"{who}: peak MB of 300 cells"] = round(high)
    benchmark.pedantic(lambda: None)


MAKE = """
import bz2, pickle, sys
from pathlib import Path
import torch
from nas_201_api.api_utils import ArchResults
folder, out, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
meta = pickle.loads(bz2.decompress((folder / "meta.pickle.pbz2").read_bytes()))
raw = [bz2.decompress((folder / f"{index:06d}.pickle.pbz2").read_bytes()) for index in (0, 11, 284)]
infos = {}
for index in range(count):
    record, infos[index] = pickle.loads(raw[index % 3]), {}
    for form, epochs in (("full", "200"), ("less", "12")):
        state = record[epochs]
        state["arch_index"], state["arch_str"] = index, meta["meta_archs"][index]
        infos[index][form] = ArchResults.create_from_state_dict(state).state_dict()
whole = {**meta, "arch2infos": infos, "evaluated_indexes": set(infos)}
torch.save(whole, out, _use_new_zipfile_serialization=False)
"""


def test_memory_of_a_table_of_everything(benchmark: Any, full: Path) -> None:
    tracemalloc.start()
    table = AccuracyTable.load(full)
    benchmark.extra_info["megabytes"] = round(tracemalloc.get_traced_memory()[0] / 1e6, 1)
    tracemalloc.stop()
    assert len(table.columns) > 0
    benchmark.pedantic(lambda: None)
