"""Arbitrary texts, files and options: a line and exit code 2, no traceback, and nothing written elsewhere."""

import os
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

import pytest
from filekinds import Kind, kinds
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from nasgauge.data.storage import Store
from nasgauge.data.tables import AccuracyTable
from nasgauge.harness.engines import parse_engine
from nasgauge.harness.records.results import Unit
from nasgauge.harness.search.oracle import SearchMetric
from nasgauge.harness.search.runner import Budget
from nasgauge.harness.search.specs import Spec, open_space
from nasgauge.spaces.architectures import architecture
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.errors import NasgaugeError

HAS_TORCH = find_spec("torch") is not None
CELL = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|"


def bounded(examples: int, *, grows: bool = True) -> settings:
    """The same examples in every run; with the profile `thorough`, ten times as many where that `grows`."""
    examples *= 10 if grows and settings.get_current_profile_name() == "thorough" else 1
    held = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
    return settings(
        max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=held
    )


def near(text: str) -> st.SearchStrategy[str]:
    """Texts that differ from one in a few places, and any others."""
    edits = st.lists(st.tuples(st.integers(0, len(text)), st.integers(0, 3), st.text(max_size=3)), max_size=4)

    def edited(changes: list[tuple[int, int, str]]) -> str:
        found = text
        for place, gone, new in changes:
            found = found[:place] + new + found[place + gone :]
        return found

    return st.one_of(edits.map(edited), st.text(max_size=60))


def refused(call: Callable[[], object]) -> str:
    """The message with which something is refused in our own words; empty if it is not."""
    try:
        call()
    except NasgaugeError as error:
        return str(error) or "nothing was said"
    return ""


def _spec(text: str) -> object:
    return Spec.parse(text if "=" in text else text.replace(":", ""))  # module:Class would be imported


PARSERS: Mapping[str, tuple[Callable[[str], object], str]] = {
    "cell": (Cell.parse, CELL),
    "architecture": (architecture, CELL),
    "budget": (Budget.parse, "1200 epochs"),
    "metric": (SearchMetric.parse, "12/valid/mean"),
    "searcher": (_spec, "evolution:population=50"),
    "space": (open_space, "pnas:blocks=3"),
    "engine": (parse_engine, "local,workers=2"),
    "storage": (lambda text: Store.of(Path("x"), text), "memory://results"),
}


@pytest.mark.parametrize("name", PARSERS)
@bounded(60)
@given(data=st.data())
def test_texts_are_values_or_refused(name: str, data: DataObject) -> None:
    parse, example = PARSERS[name]
    text = data.draw(near(example))
    assert refused(lambda: parse(text)) != "nothing was said"


@bounded(100)
@given(text=near(CELL))
def test_a_cell_that_is_accepted_has_one_text(text: str) -> None:
    if not refused(lambda: Cell.parse(text)):
        assert Cell.parse(str(Cell.parse(text))) == Cell.parse(text)


@bounded(200)
@given(searcher=st.text(max_size=30))
def test_the_name_of_a_unit_file_is_no_path(searcher: str) -> None:
    name = Unit(searcher, "toy", 0, 9).file
    assert Path(name).name == name
    assert not name.startswith(".partial-")


# --- files


@pytest.fixture(scope="module")
def made(toy: AccuracyTable, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Kind]:
    return kinds(tmp_path_factory.mktemp("fuzzed"), toy, torch=HAS_TORCH)


def spoiled(whole: bytes, data: DataObject) -> bytes:
    """A content with some bytes replaced, cut out, repeated or put in."""
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, max(len(whole) - 1, 0)))
        until = data.draw(st.integers(place, min(place + 64, len(whole))))
        how = data.draw(st.sampled_from(["other", "cut", "twice", "rest", "number"]))
        new = {
            "other": data.draw(st.binary(max_size=8)),
            "cut": b"",
            "twice": whole[place:until] * 2,
            "rest": b"",
            "number": data.draw(st.sampled_from([b"-1", b"1e999", b"NaN", b"null", b"[]", b"{}", b"9" * 30])),
        }[how]
        whole = whole[:place] + new + (b"" if how == "rest" else whole[until:])
    return whole


KINDS = (
    "unit", "measured", "settings", "reference", "pack", "training", "baseline", "table", "searches", "curves",
)  # fmt: skip


def fuzz_file(name: str, made: Mapping[str, Kind], data: DataObject) -> None:
    kind = made[name]
    whole = kind.path.read_bytes()
    kind.path.write_bytes(spoiled(whole, data))
    try:
        said = refused(kind.read)
    finally:
        kind.path.write_bytes(whole)
    assert "\n" not in said


@pytest.mark.parametrize("name", KINDS)
@bounded(25)
@given(data=st.data())
def test_spoiled_files_are_refused(name: str, made: Mapping[str, Kind], data: DataObject) -> None:
    fuzz_file(name, made, data)


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
@bounded(3000, grows=False)
@given(data=st.data())
def test_many_spoiled_files_are_refused(name: str, made: Mapping[str, Kind], data: DataObject) -> None:
    fuzz_file(name, made, data)


# --- the command line

ODD = (
    "", "-1", "0", "x", "nan", "inf", "1e999", "../x", "..", "/", "/dev/null", "~", "a" * 300, "=1+1", "[/red]",
    "$\\foo$", "<script>", "%s", "\N{COLLISION SYMBOL}", "\x1b[31m", "a\nb", "a,b", "os:system", ":", "=", "a=b", "--", "-h",
    "s3://", "ftp://x/y", "local,workers=0", "ray,gpus=x",
)  # fmt: skip
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "search": ("search", "random", "-t", "TOY", "-n", "1", "-b", "2", "-j", "1", "-o", "out"),
    "verify": ("verify", "done"),
    "pack": ("pack", "done"),
    "merge": ("merge", "done", "-o", "merged"),
    "info": ("data", "info", "TOY"),
    "searchers": ("searchers",),
    "recipes": ("recipes",),
    "efficiency": ("score", "efficiency", "done", "done", "-o", "eff"),
}
SLOW: Mapping[str, tuple[str, ...]] = {
    "report": ("report", "done", "--no-figures"),
    "gate": ("gate", "--baseline", "none.json"),
    "bridge": ("score", "bridge", "done"),
    "cells": ("score", "cells", CELL, "-p", "params"),
    "predictors": ("score", "predictors", "--surrogates", "forest", "--cells", "9", "--trials", "1", "-j", "1"),
    "train": ("train", CELL, "-d", "made-up", "-r", "tiny", "--epochs", "1", "--device", "cpu", "-o", "trained"),
}  # fmt: skip
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "search": (
        "--dataset", "--budget", "--seeds", "--first-seed", "--metric", "--search-on", "--repeats", "--protocol",
        "--engine", "--storage", "--step-limit", "--table", "--workers", "--recipe", "--space", "--oracle",
    ),
    "verify": ("--rerun", "--seed", "--trust", "--storage", "--workers"),
    "merge": ("--out",),
    "info": (),
    "efficiency": ("--at", "--seed", "--out"),
    "report": ("--clock", "--average", "--ours", "--venue", "--scores", "--predictors", "--pruning", "--trained", "--curves"),
    "gate": ("--table", "--budgets", "--margin", "--seeds", "--searchers", "--workers"),
    "bridge": ("--table", "--out"),
    "cells": ("--proxies", "--draws", "--images", "--device", "--share", "--count", "--engine"),
    "predictors": ("--dataset", "--target", "--seed", "--engine", "--top"),
    "train": ("--precision", "--seeds", "--first-seed", "--engine", "--storage", "--evaluate", "--images", "--recipe", "--top"),
}  # fmt: skip


def fuzz_command(
    name: str,
    command: tuple[str, ...],
    folder: Path,
    toy_file: Path,
    data: DataObject,
    patch: pytest.MonkeyPatch,
) -> None:
    """Some options with odd values, and an odd value in the place of an argument."""
    args = [str(toy_file) if arg == "TOY" else arg for arg in command]
    for option in data.draw(st.lists(st.sampled_from(OPTIONS.get(name) or ("--odd",)), max_size=2)):
        args += [option, data.draw(st.sampled_from(ODD))]
    if data.draw(st.booleans()):
        args[data.draw(st.integers(1, len(args))) - 1 or 1 : None] = [
            *args[1:][:0], data.draw(st.sampled_from(ODD)), *args[2:]
        ]  # fmt: skip
    before = outside(folder)
    patch.setattr(sys, "argv", ["nasgauge", *args])
    from nasgauge.cli import main

    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in (0, 1, 2), args
    assert outside(folder) == before, args


def outside(folder: Path) -> set[str]:
    """What stands beside the folder, and above."""
    return {path.name for place in (folder.parent, folder.parent.parent) for path in place.iterdir()}


@pytest.fixture(scope="module")
def inner(toy_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from nasgauge.harness.search.campaign import Campaign, Rules

    folder = tmp_path_factory.mktemp("outer") / "middle" / "inner"
    folder.mkdir(parents=True)
    made = Campaign.on_table(folder / "done", ["random"], toy_file, seeds=2, rules=Rules(budget=Budget(3)))
    list(made.run(workers=1))
    return folder


@pytest.mark.parametrize("name", COMMANDS)
@bounded(8)
@given(data=st.data())
def test_odd_options_are_refused(
    name: str, inner: Path, toy_file: Path, monkeypatch: pytest.MonkeyPatch, data: DataObject
) -> None:
    monkeypatch.chdir(inner)
    fuzz_command(name, COMMANDS[name], inner, toy_file, data, monkeypatch)


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.parametrize("name", [*COMMANDS, *SLOW])
@bounded(60, grows=False)
@given(data=st.data())
def test_more_odd_options_are_refused(
    name: str, inner: Path, toy_file: Path, monkeypatch: pytest.MonkeyPatch, data: DataObject
) -> None:
    monkeypatch.chdir(inner)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    fuzz_command(name, {**COMMANDS, **SLOW}[name], inner, toy_file, data, monkeypatch)
