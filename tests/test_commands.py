"""One meaning for each option across commands, an example in every help, and one line for every bad option."""

import inspect
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import NoneType
from typing import Any, NamedTuple, get_args, get_type_hints

import numpy as np
import pytest
import typer
from typer.models import OptionInfo

from nasgauge.catalogue import explained
from nasgauge.cli import app, main
from nasgauge.cli.options import Run
from nasgauge.conformance.landscape import Landscape
from nasgauge.harness.search.runner import Budget
from nasgauge.harness.search.runner import run as run_search
from nasgauge.spaces.nb201 import NB201, Space

COMPUTED = (None, "", inspect.Parameter.empty)
"""Defaults that a command works out, or none at all."""
SAME_DEFAULT = (
    "--first-seed",
    "--protocol",
    "--repeats",
    "--seed",
    "--table",
    "--venue",
    "--workers",
)
FIRST_SEED_OF_THE_BENCHMARK = ("nasgauge train", 777)


class Option(NamedTuple):
    command: str
    short: tuple[str, ...]
    kind: type
    default: object


def commands(group: typer.Typer = app, path: str = "nasgauge") -> Iterator[tuple[str, Callable[..., Any]]]:
    for command in group.registered_commands:
        assert command.callback is not None
        yield f"{path} {command.name or command.callback.__name__.replace('_', '-')}", command.callback
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        yield from commands(inner.typer_instance, f"{path} {inner.name}")


def options() -> dict[str, list[Option]]:
    found = defaultdict(list)
    for command, callback in commands():
        hints = get_type_hints(callback, include_extras=True)
        for parameter in inspect.signature(callback).parameters.values():
            kind, info = get_args(hints[parameter.name])[:2]
            if not isinstance(info, OptionInfo):
                continue
            names = [name for name in (info.default, *(info.param_decls or ())) if isinstance(name, str)]
            long, *short = sorted(names, key=len, reverse=True) or [f"--{parameter.name.replace('_', '-')}"]
            base = get_args(kind)[0] if NoneType in get_args(kind) else kind
            found[long].append(Option(command, tuple(short), base, parameter.default))
    return found


def test_the_walk_finds_the_options() -> None:
    names = [name for name, _ in commands()]
    assert {"nasgauge bench", "nasgauge score tenas", "nasgauge data import", "nasgauge merge"} <= set(names)
    assert {"--seeds", "--table", "--out", "--workers"} <= set(options())


@pytest.mark.parametrize("name", sorted(options()))
def test_an_option_has_one_type_and_one_short_name(name: str) -> None:
    found = options()[name]
    assert len({option.kind for option in found}) == 1, found
    assert len({option.short for option in found}) == 1, found


def test_a_short_name_stands_for_one_option() -> None:
    meanings = defaultdict(set)
    for name, found in options().items():
        for option in found:
            for short in option.short:
                meanings[short].add(name)
    assert {short: names for short, names in meanings.items() if len(names) > 1} == {}


@pytest.mark.parametrize("name", SAME_DEFAULT)
def test_an_option_has_one_default(name: str) -> None:
    stated = [
        option
        for option in options()[name]
        if option.default not in COMPUTED and (option.command, option.default) != FIRST_SEED_OF_THE_BENCHMARK
    ]
    assert stated
    assert len({option.default for option in stated}) == 1, stated


def test_common_options_are_what_they_are_everywhere() -> None:
    found = options()
    for name, short, kind in (
        ("--seeds", ("-n",), int),
        ("--first-seed", (), int),
        ("--table", ("-t",), str),
        ("--workers", ("-j",), int),
        ("--out", ("-o",), Path),
    ):
        assert {(option.short, option.kind) for option in found[name]} == {(short, kind)}
    assert {option.default for option in found["--workers"]} == {-1}
    for option in found["--out"]:  # a folder, and not the current one
        assert option.default in COMPUTED or Path(str(option.default)).parts[0] == "results"
        assert option.default in COMPUTED or not Path(str(option.default)).suffix


@pytest.mark.parametrize(("name", "callback"), list(commands()))
def test_every_help_has_an_example(name: str, callback: Callable[..., Any]) -> None:
    help_text = inspect.getdoc(callback) or ""
    assert "Example" in help_text
    shown = "nasgauge tables" if name == "nasgauge data list" else name
    assert any(line.strip().startswith(shown) for line in help_text.splitlines()), help_text


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["nasgauge", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("bench", "--sead", "3"), "No such option: --sead (Possible options: --seeds); see: "),
        (("bench", "--seeds", "x"), "Invalid value for '--seeds' / '-n': "),
        (("search",), "Missing argument 'searcher'; see: "),
        (("frobnicate",), "No such command 'frobnicate'; see: "),
        (("search", "random", "--repeats", "no"), "'no' is not one of 'charge', 'free'; see: "),
        (("bench", "--workers", "-7"), "--workers -7 runs nothing; give a number, or -1"),
        (("check", "random", "--queries", "9999999999999999999"), "is too many; give at most 100000"),
        (("bench", "--seeds", "9999999999999999999"), "is too many; give a count of at most 1000000"),
        (("bench", "--first-seed", "-1"), "--first-seed -1 is no seed; give a number from 0"),
        (("bench", "--first-seed", "3000000000"), "is no seed; give a number from 0 to 2147483647"),
        (("bench", "--budget", "99999999999999999999"), "1e+20 queries is too large; give at most 1e+15"),
        (
            ("score", "settings", "--seed", "99999999999999999999"),
            "should be less than or equal to 2147483647",
        ),
        (
            ("search", "random", "--recipe", "tiny"),
            "--recipe does nothing where cells are looked up; leave it out",
        ),
        (("search", "random", "--device", "cpu", "--images", "x"), "--device, --images does nothing"),
        (("search", "random", "--search-on", "cifar9"), "table nb201 has no dataset 'cifar9'; choose from"),
        (("report", __file__), "holds no campaign"),
        (("report", "nowhere", "--curves", "nb201"), "--curves does nothing without --trained; leave it out"),
        (("data", "info", "no.npz"), "there is no table file no.npz"),
    ],
)
def test_a_bad_option_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    assert run(monkeypatch, *arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: ")
    assert says in shown.err
    assert shown.err.count("\n") == 1
    for noise in ("Errno", "pydantic", "Traceback", "╭"):
        assert noise not in shown.err


def test_an_error_of_the_system_has_no_number(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    assert (
        run(monkeypatch, "search", "random", "-b", "1", "-n", "1", "-o", str(tmp_path / "file" / "out")) == 2
    )
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"error: {tmp_path / 'file'}")
    assert said.endswith("Not a directory; give another path")


def test_a_command_without_arguments_shows_its_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "score") == 2
    assert "Usage: nasgauge score" in "".join(capsys.readouterr())


def test_default_folders_are_named_after_what_is_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments in (
        ("evolution",),
        ("local:climb=steepest", "-b", "2"),
        ("random", "--protocol", "nb201-12", "-b", "400s", "--search-on", "cifar10"),
    ):
        assert run(monkeypatch, "search", *arguments, "-n", "1", "-d", "cifar10", "-j", "1") == 0
        assert "draw them with: nasgauge report results/search-" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == [
        "search-evolution",
        "search-local-climb=steepest-2",
        "search-random-nb201-12-search-on-cifar10-400s",
    ]


def test_default_folders_of_two_constraints_are_two() -> None:
    folders = [Run(seeds=1, constraint=f"params{sign}0.5").folder("bench") for sign in ("<=", ">=")]
    assert folders[0] != folders[1]
    assert all(folder.parent == Path("results") for folder in folders)
    long = Run(seeds=1).folder(f"search-{'x' * 300}")
    assert len(long.name) < 256


def test_the_catalogue_explains_every_option_of_our_searchers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "searchers") == 0
    shown = capsys.readouterr().out
    assert "no meaning is given" not in shown
    assert "population=10  Cells that are alive" in shown
    assert "Real et al., 2019" in shown
    assert run(monkeypatch, "searchers", "planted:Healthy") == 0
    assert "from planted:Healthy" in capsys.readouterr().out


def test_recipes_and_tables_are_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "recipes") == 0
    assert "nb201-12\n  epochs 12, learning_rate 0.1" in capsys.readouterr().out
    assert run(monkeypatch, "tables") == 0
    assert capsys.readouterr().out.startswith("nb201 (default)")


@pytest.mark.torch
def test_proxies_are_listed_with_what_they_measure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "proxies") == 0
    shown = capsys.readouterr().out
    assert "naswot\n  Log-determinant of the Hamming similarity" in shown
    assert "Condition number of the neural tangent kernel in train mode (Chen et al., 2021" in shown


def test_the_page_of_searchers_names_what_a_space_offers_and_its_example_runs() -> None:
    page = (Path(__file__).resolve().parents[1] / "docs" / "searchers.md").read_text(encoding="utf-8")
    for name in (name for name in dir(Space) if not name.startswith("_")):
        assert f"| `{name}" in page, name
    code = page.partition("```python\n")[2].partition("```")[0]
    scope: dict[str, Any] = {"__name__": "mine"}
    exec(code, scope)
    rng = np.random.default_rng(0)
    steps = list(run_search(scope["Mine"](NB201(), rng, initial=5), Landscape(), Budget(30)))
    assert max(step.evaluation.validation for step in steps[5:]) > max(
        step.evaluation.validation for step in steps[:5]
    )
    assert explained(scope["Mine"])[1] == {"initial": "Random cells to begin with."}
    exec(page.split("```python\n")[2].partition("```")[0], scope)
    asked = [step.cell for step in run_search(scope["Twice"](NB201(), rng), Landscape(), Budget(30))]
    assert {at.epochs for at in asked} == {1, 200}
