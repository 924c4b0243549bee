"""Several results folders as one: runs that were made on several machines, or at several times."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nasgauge.harness.records.claims import check_comparable, claim, claimed, joined
from nasgauge.harness.records.folders import every_record
from nasgauge.harness.records.results import (
    TRAINED,
    OtherCampaign,
    Settings,
    Unit,
    references_of,
    settings_of,
    unit_of,
)
from nasgauge.harness.records.steps import COLUMNS, DamagedRecord, Record, Steps, write
from nasgauge.harness.records.todo import stretches


def merge(folders: Sequence[Path], out: Path) -> Settings:
    """Write the runs of several campaigns into a new folder; a run that two of them hold is kept once.

    The folders must agree in what a results folder has in common, the budget included.

    Raises OtherCampaign if they do not, if `out` is in use, or if two hold different runs of one seed;
    DamagedRecord.
    """
    if len(folders) < 2:
        raise OtherCampaign("one folder cannot be merged; give at least two")
    settings = settings_of(folders[0])
    for folder in folders[1:]:
        found = settings_of(folder)
        check_comparable(folder, found, settings)
        if found.budget != settings.budget:
            raise OtherCampaign(
                f"{folder} holds runs of {found.budget}, {folders[0]} of {settings.budget}; run the shorter again "
                "with the larger budget, then merge"
            )
        settings = joined(settings, found)
    if claimed(out, settings) is not None:
        raise OtherCampaign(f"{out} holds a campaign; give a new folder")
    damaged: list[str] = []
    cut = _distinct([found for folder in folders for found in every_record(folder, damaged)])
    if damaged:
        raise DamagedRecord(damaged[0])
    claim(out, settings, {name: one for folder in folders for name, one in references_of(folder).items()})
    for unit, record in cut:
        write(out / unit.file, record.header, record.steps)
    for folder in folders:
        for path in (*folder.glob("*.npz"), *(folder / TRAINED).rglob("*.parquet")):
            copy = out / path.relative_to(folder)
            if not copy.exists():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
    return settings


def _distinct(records: Sequence[tuple[Path, Record]]) -> list[tuple[Unit, Record]]:
    """The runs of all records, each once."""
    kept: dict[tuple[str, str], dict[int, tuple[Path, Record]]] = {}
    cut = []
    for path, record in records:
        header, unit = record.header, unit_of(record.header)
        who = f"{header.searcher} on {header.dataset}"
        runs = kept.setdefault(unit.kind, {})
        fresh = []
        for seed in unit.seeds:
            if seed not in runs:
                fresh.append(seed)
                continue
            other, known = runs[seed]
            if not _equal(known, record, seed):
                raise OtherCampaign(
                    f"{other} and {path} hold different runs of {who}, seed {seed}; move one of the files elsewhere"
                )
        for other, known in list(runs.values())[:1]:
            if known.header.settings != header.settings:
                raise OtherCampaign(
                    f"{other} and {path} are of {who} with different defaults; merge one of them"
                )
        runs |= dict.fromkeys(fresh, (path, record))
        for first, last in stretches(fresh):
            rows = (record.steps.seed >= first) & (record.steps.seed <= last)
            part = Record(header.model_copy(update={"seeds": (first, last)}), _only(record.steps, rows))
            cut.append((replace(unit, first=first, last=last), part))
    return cut


def _only(steps: Steps, rows: NDArray[np.bool_]) -> Steps:
    return replace(steps, **{name: values[rows] for name, values in vars(steps).items() if name != "cells"})


def _equal(one: Record, other: Record, seed: int) -> bool:
    """Whether two files hold the same run of a seed, but for what was measured."""
    timed = {*one.header.timed, *other.header.timed}
    runs = [_only(record.steps, record.steps.seed == seed) for record in (one, other)]
    named = [[[*run.cells, ""][place] for place in (*run.cell, *run.answer)] for run in runs]
    return named[0] == named[1] and all(
        np.array_equal(getattr(runs[0], name), getattr(runs[1], name), equal_nan=True)
        for name in (*COLUMNS, "fidelity")
        if name not in timed and name != "answer"
    )
