"""One small file of each kind that the package writes, and how each is read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from nasgauge.data.curves import RANK, Curves, curves_path
from nasgauge.data.sealed import measured_file
from nasgauge.data.tables import AccuracyTable
from nasgauge.gate import baseline
from nasgauge.harness.records import trainings
from nasgauge.harness.records.folders import read_unit
from nasgauge.harness.records.packed import packed_file, packed_headers, unpacked
from nasgauge.harness.records.packing import pack_folder
from nasgauge.harness.records.recipes import RECIPES
from nasgauge.harness.records.results import references_of, settings_of
from nasgauge.harness.records.steps import DamagedRecord, Record, read_header
from nasgauge.harness.search.campaign import Campaign, Rules
from nasgauge.harness.search.runner import Budget
from nasgauge.searchers.tenas import SHIPPED, SearchFile

TORCH = ("checkpoint", "scores", "sizes")
"""Kinds that are read with torch."""


@dataclass(frozen=True)
class Kind:
    """A file, and a function that reads it and returns all that it says."""

    path: Path
    read: Callable[[], object]


def kinds(folder: Path, toy: AccuracyTable, *, torch: bool) -> Mapping[str, Kind]:
    """A file of each kind in a folder, by name."""
    table, one, packed = folder / "toy.npz", folder / "one", folder / "packed"
    toy.save(table)
    for out in (one, packed):
        rules = Rules(budget=Budget(3))
        list(Campaign.on_table(out, ["random"], table, seeds=2, rules=rules).run(workers=1))
    pack_folder(packed)
    unit = one / "random@toy@00000-00001.parquet"
    record = folder / "trained" / "record.parquet"
    _training(record)
    gate = folder / "gate.json"
    baseline.save(gate, _baseline())
    searches = folder / "searches.json"
    shipped = SearchFile.read(SHIPPED)
    searches.write_text(shipped.model_copy(update={"searches": shipped.searches[:2]}).to_json())
    curves = curves_path(table)
    _curves().save(curves)
    found = {
        "unit": Kind(unit, lambda: repr((read_header(unit).searcher, vars(read_unit(unit).steps)))),
        "measured": Kind(measured_file(unit), lambda: repr(vars(_with_times(read_unit(unit)).steps))),
        "settings": Kind(one / "campaign.json", lambda: settings_of(one)),
        "reference": Kind(one / "reference.json", lambda: references_of(one)),
        "pack": Kind(
            packed_file(packed),
            lambda: repr(
                (packed_headers(packed_file(packed)), [*map(_with_times, unpacked(packed_file(packed)))])
            ),
        ),
        "training": Kind(record, lambda: repr(trainings.read(record))),
        "measured of a training": Kind(
            measured_file(record), lambda: repr(_with_times(trainings.read(record)))
        ),
        "baseline": Kind(gate, lambda: baseline.load(gate)),
        "table": Kind(table, lambda: AccuracyTable.load(table).sha256),
        "curves": Kind(curves, lambda: _said(Curves.load(curves, whole=True))),
        "searches": Kind(searches, lambda: SearchFile.read(searches)),
    }
    return found | (_with_torch(folder) if torch else {})


R = TypeVar("R", Record, trainings.TrainingRecord)


def _with_times(record: R) -> R:
    """The record, unless what was measured is lost, which `verify` reports."""
    if record.lost:
        raise DamagedRecord(record.lost)
    return record


def _with_torch(folder: Path) -> dict[str, Kind]:
    import torch

    from nasgauge.data.sealed import write_table
    from nasgauge.harness.proxies import score_files, sizes
    from nasgauge.harness.proxies.score_files import Recipe, Score
    from nasgauge.harness.training.checkpoint import load_checkpoint, save_checkpoint

    weights, scores, values = (folder / name for name in ("x.safetensors", "scores.parquet", "sizes.parquet"))
    save_checkpoint(
        weights, {"weights.a": torch.arange(60.0), "epoch.step": torch.tensor(3)}, {"cell": "a"}, 2
    )
    score_files.write(scores, [Score(rank, "snip", 0, 0, 1.5 * rank, "", 0.1) for rank in range(5)], Recipe())
    table = pa.table({name: pa.array([1]) for name in ("rank", "size", "repeat", "value", "seconds")})
    write_table(values, table.append_column("proxy", pa.array(["kappa"])), b"nasgauge-settings", {"seed": 0})

    def _checkpoint() -> str:
        tensors, epoch = load_checkpoint(weights, {"cell": "a"})
        return repr((sorted(tensors.items()), epoch))

    return {
        "checkpoint": Kind(weights, _checkpoint),
        "scores": Kind(scores, lambda: score_files.read(scores)),
        "sizes": Kind(values, lambda: sizes.read(values)),
    }


def _curves() -> Curves:
    names = [f"cifar10-valid/200/valid/{seed}/accuracy" for seed in (777, 888)]
    rows = np.zeros(4, dtype=[(RANK, "<i4"), *((name, "<f8", (200,)) for name in names)])
    rows[RANK] = range(4)
    for name in names:
        rows[name] = np.arange(800.0).reshape(4, 200)
    return Curves(rows)


def _said(curves: Curves) -> str:
    return repr((curves.sha256, curves.columns, curves.rows.tobytes()))


def _training(path: Path) -> None:
    about: dict[str, Any] = {"seed": 1, "device": "cpu", "threads": 1, "precision": "32", "parameters": 10}
    header = trainings.TrainingHeader(
        cell="a", dataset="made-up", splits="official", images_sha256="", recipe=RECIPES["tiny"], **about
    )
    epochs = [
        trainings.Epoch(epoch, 0.1, 2.3, 10.0, 2.2, 12.0, 2.1, 11.0, 900.0, 30.0, 1e9) for epoch in (1, 2)
    ]
    trainings.write(path, header, epochs)


def _baseline() -> baseline.Baseline:
    entry = baseline.Entry(margins=(0.5,), speed=1.0, runs=())
    return baseline.Baseline(
        made={"commit": "x"},
        settings=baseline.Settings(table="toy", budgets=(5,), first_seed=0, seeds=20, margin="0.1"),
        datasets={"toy": baseline.Dataset(sha256="0" * 64, optimum=60.0, random=(30.0,))},
        searchers={"random": baseline.Searcher(options={"a": 1}, datasets={"toy": entry})},
    )
