"""Searchers and proxies of other packages, of the current folder and of `__main__`, in this process and in workers."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from nasgauge.data.plugins import Group, NameClash, PluginFailed, UnknownName, built_in, declared, load
from nasgauge.harness.search.specs import InvalidOption, Searchable, Spec, UnknownSearcher, text_of
from nasgauge.searchers.evolution import Evolution
from nasgauge.searchers.pnas import PNAS
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.nb201 import NB201

FIXED = """
class Fixed:
    def __init__(self, space, rng, *, rank: int = 7, share: float = 0.5, loud: bool = False, label: str = "a"):
        self.cells = [space[rank]]
    def ask(self):
        return self.cells
    def tell(self, cell, accuracy):
        pass
"""
"""A searcher that asks for one cell, over and over."""

Package = Callable[[str, str, Mapping[Group, Mapping[str, str]]], Path]
Nasgauge = Callable[..., "subprocess.CompletedProcess[str]"]


def asked(spec: Spec) -> int:
    """The rank of the first cell that a searcher asks for."""
    return spec.make(NB201(), np.random.default_rng(0)).ask()[0].rank


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Package]:
    """Installs a package of one module: a folder with its metadata, on the path here and in new processes."""
    made: list[str] = []

    def install(name: str, code: str, points: Mapping[Group, Mapping[str, str]]) -> Path:
        folder = tmp_path / "site" / name
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (folder / f"{name}.py").write_text(textwrap.dedent(code))
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = [
            line
            for group, entries in points.items()
            for line in [f"[{group}]", *(f"{key} = {value}" for key, value in entries.items())]
        ]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
        made.append(name)
        declared.cache_clear()
        return folder

    yield install
    for name in made:
        sys.modules.pop(name, None)
    declared.cache_clear()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A current folder; what is imported from it, and its place on the path, are forgotten afterwards."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield here
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(here)):
            del sys.modules[name]


@pytest.fixture
def nasgauge(folder: Path, toy_file: Path) -> Nasgauge:
    """The command line, in a new process in the current folder."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = "from nasgauge.cli import main; main()"
        filled = [str(toy_file) if argument == "TOY" else argument for argument in arguments]
        return subprocess.run(
            [sys.executable, "-P", "-c", command, *filled],  # as the installed script: not the current folder
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


# --- names


def test_every_name_of_ours_is_a_searcher() -> None:
    names = built_in("nasgauge.searchers")
    assert {"evolution", "local", "pnas", "pnas-ucb", "random", "reinforce", "tenas"} <= set(names)
    for name in names:
        spec = Spec.of(name)
        assert (str(spec), spec.name, spec.options) == (name, name, ())


def test_a_preset_is_a_partial_and_shows_its_own_defaults() -> None:
    preset, usual = Spec.of("pnas-ucb").settings(), Spec.of("pnas").settings()
    assert {key for key in usual if preset[key] != usual[key]} == {"explore"}
    assert preset["explore"] == "ucb"
    assert Spec.of("pnas-ucb:explore=none").settings()["explore"] == "none"


def test_a_searcher_of_another_package_is_an_equal(
    package: Package, nasgauge: Nasgauge, folder: Path
) -> None:
    package("theirs", FIXED, {"nasgauge.searchers": {"first": "theirs:Fixed"}})
    assert asked(Spec.of("first:rank=9")) == 9
    assert "first" in declared("nasgauge.searchers")
    assert "first" not in built_in("nasgauge.searchers")
    with pytest.raises(UnknownSearcher, match="evolution-published, first, gp"):
        Spec.of("frist")
    done = nasgauge("search", "first:rank=9", "-t", "TOY", "-n", "2", "-b", "3", "-j", "2", "-o", "out")
    assert done.returncode == 0, done.stderr
    assert list(folder.glob("out/**/*.parquet"))


def test_a_name_of_two_packages_is_an_error_that_names_both_and_spoils_no_other(
    package: Package, nasgauge: Nasgauge, folder: Path
) -> None:
    for name in ("alpha", "beta"):
        package(name, FIXED, {"nasgauge.searchers": {"same": f"{name}:Fixed", name: f"{name}:Fixed"}})
    with pytest.raises(NameClash, match=r"'same' is declared by 2 packages: .*alpha \(alpha:Fixed\).*;"):
        load("nasgauge.searchers", "same")
    with pytest.raises(UnknownSearcher, match=r"beta \(beta:Fixed\)"):
        Spec.of("same")
    assert asked(Spec.of("alpha")) == asked(Spec.of("beta:rank=7")) == 7
    done = nasgauge("search", "same", "-t", "TOY", "-o", "out")
    assert (done.returncode, done.stderr.count("\n"), list(folder.iterdir())) == (2, 1, [])
    assert "alpha" in done.stderr
    assert "beta" in done.stderr


def test_a_package_cannot_take_a_name_of_ours_silently(package: Package) -> None:
    package("taker", FIXED, {"nasgauge.searchers": {"random": "taker:Fixed"}})
    with pytest.raises(
        UnknownSearcher, match=r"nasgauge \(nasgauge\.searchers\.random_search:RandomSearch\)"
    ):
        Spec.of("random")
    assert "random" in built_in("nasgauge.searchers")


@pytest.mark.parametrize(
    "code", ["import nowhere_at_all", "raise SystemExit(3)", "1 / 0", "class Other: pass"]
)
def test_a_package_that_cannot_be_imported_is_named_and_the_others_work(
    code: str, package: Package, nasgauge: Nasgauge, folder: Path
) -> None:
    package("broken", code, {"nasgauge.searchers": {"mine": "broken:Fixed"}})
    with pytest.raises(
        PluginFailed, match="searcher mine of package broken cannot be imported from broken:Fixed"
    ):
        load("nasgauge.searchers", "mine")
    with pytest.raises(UnknownSearcher, match="repair or uninstall that package"):
        Spec.of("mine")
    assert str(Spec.of("evolution")) == "evolution"
    if code.startswith("import"):
        done = nasgauge("bench", "-s", "random,mine", "-t", "TOY", "-o", "out")
        assert (done.returncode, done.stderr.count("\n"), list(folder.iterdir())) == (2, 1, [])
        assert "No module named 'nowhere_at_all'" in done.stderr


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(
        UnknownName, match=r"unknown proxy 'sinflow'; choose from epe_nas, fisher, .*; did you mean synflow\?"
    ):
        load("nasgauge.proxies", "sinflow")


# --- places and classes


NONE_OF_THEM = """
import abc
def function(space, rng): ...
def unbound(): ...
class NoTell:
    def __init__(self, space, rng): ...
    def ask(self): ...
class Takes(NoTell):
    def __init__(self, population): ...
    def tell(self, cell, accuracy): ...
instance = Takes(3)
"""


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("os:system", "it is a builtin_function_or_method, not a class with ask and tell"),
        ("json:loads", "it is a function, not a class"),
        ("functools:partial", "it has no ask and no tell"),
        ("subprocess:Popen", "it has no ask and no tell"),
        ("none_of_them:function", "it is a function, not a class"),
        ("none_of_them:NoTell", "it has no tell; write ask"),
        ("none_of_them:Takes", r"not made from a space and a generator \(too many positional arguments\)"),
        ("none_of_them:instance", "it is a Takes, not a class"),
        ("none_of_them:Nobody", "there is no searcher none_of_them:Nobody"),
        ("nowhere_at_all:Mine", "No module named 'nowhere_at_all'"),
        ("fails:Mine", r"SystemExit: 3"),
        (":Mine", "there is no searcher :Mine"),
        ("json:", "there is no searcher json:"),
        ("evolution:50", "options as name:option=value"),
    ],
)
def test_a_place_without_a_searcher_is_told_and_nothing_is_called(
    place: str, says: str, folder: Path
) -> None:
    (folder / "none_of_them.py").write_text(NONE_OF_THEM)
    (folder / "fails.py").write_text("raise SystemExit(3)")
    with pytest.raises(UnknownSearcher, match=says):
        Spec.of(place)


@pytest.mark.parametrize("place", ["os:system", "nowhere_at_all:Mine", "mine:Mine:rank=many", "mine:NoTell"])
def test_on_the_command_line_it_is_one_line_and_nothing_is_written(
    place: str, nasgauge: Nasgauge, folder: Path
) -> None:
    (folder / "mine.py").write_text(FIXED.replace("Fixed", "Mine") + "class NoTell: ...\n")
    before = set(folder.iterdir())
    done = nasgauge("search", place, "-t", "TOY", "-o", "out")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert {path for path in folder.iterdir() if path.name != "__pycache__"} == before


def test_the_current_folder_comes_last_on_the_path(folder: Path, nasgauge: Nasgauge) -> None:
    """Files there with names of installed packages change nothing, in the parent and in two workers."""
    (folder / "data").mkdir()
    for name in ("data/__init__", "json", "numpy", "joblib", "harness", "analysis", "types"):
        (folder / f"{name}.py").write_text("raise RuntimeError('shadowed')")
    (folder / "mine.py").write_text("import json, numpy, helper\n" + FIXED)
    (folder / "helper.py").touch()
    done = nasgauge("search", "mine:Fixed:rank=9", "-t", "TOY", "-n", "2", "-b", "3", "-j", "2", "-o", "out")
    assert done.returncode == 0, done.stderr
    checked = nasgauge("check", "mine:Fixed", "-q", "4")
    assert (checked.returncode, checked.stderr) == (0, ""), checked.stdout


@pytest.mark.parametrize(
    ("searcher", "options", "text"),
    [
        ("evolution", {}, "evolution"),
        ("evolution:tournament=2", {"population": 5}, "evolution:population=5:tournament=2"),
        (Spec.of("evolution:tournament=2"), {"tournament": 4}, "evolution:tournament=4"),
        (Evolution, {}, "nasgauge.searchers.evolution:Evolution"),
        (Evolution, {"population": np.int64(5)}, "nasgauge.searchers.evolution:Evolution:population=5"),
        (partial(PNAS, explore="ucb"), {}, "nasgauge.searchers.pnas:PNAS:explore=ucb"),
        (partial(PNAS, explore="ucb"), {"beam": 9}, "nasgauge.searchers.pnas:PNAS:beam=9:explore=ucb"),
    ],
)
def test_a_spec_of_anything_has_a_text_that_reads_back(
    searcher: Searchable, options: dict[str, object], text: str
) -> None:
    spec = Spec.of(searcher, **options)
    assert str(spec) == text
    again = Spec.of(text)
    assert (again, hash(again), again.settings()) == (spec, hash(spec), spec.settings())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"rank": 1.5}, "option rank takes a value like 7, not 1.5"),
        ({"rank": True}, "option rank takes a value like 7, not True"),
        ({"loud": 1}, "option loud takes true or false, not 1"),
        ({"label": "a:b"}, "option label takes a value like 'a', not 'a:b'"),
        ({"label": [1]}, r"option label takes a value like 'a', not \[1\]"),
        ({"label": None}, "option label takes a value like 'a', not None"),
        ({"other": 1}, "has no option 'other'; its options: rank, share, loud, label"),
    ],
)
def test_an_option_of_a_class_that_no_text_could_give_is_refused(
    options: dict[str, object], says: str, folder: Path
) -> None:
    (folder / "mine.py").write_text(FIXED)
    with pytest.raises(InvalidOption, match=says):
        Spec.of(load_from(folder), **options)
    good = Spec.of(load_from(folder), rank=np.int16(3), share=1, loud=np.True_, label="")
    assert good.settings() == {"rank": 3, "share": 1.0, "loud": True, "label": ""}
    assert Spec.of(str(good)) == good


def load_from(folder: Path) -> type:
    import importlib

    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    found: type = importlib.import_module("mine").Fixed
    return found


def test_a_partial_that_fixes_the_space_is_no_searcher() -> None:
    with pytest.raises(UnknownSearcher, match="too many positional arguments"):
        Spec.of(partial(Evolution, NB201()))


def test_options_of_a_constructor_need_not_be_keyword_only(folder: Path) -> None:
    (folder / "mine.py").write_text(FIXED.replace("*, ", ""))
    assert asked(Spec.of("mine:Fixed:rank=11")) == 11
    (folder / "more.py").write_text(
        FIXED.replace("space, rng, *, rank: int = 7", "*given, rank=7").replace("= [space", "= [given[0]")
    )
    assert asked(Spec.of("more:Fixed:rank=12")) == 12


def test_a_class_that_another_process_cannot_import_has_no_text() -> None:
    class Local(Evolution[Cell]):
        pass

    assert str(Spec.of(Local)).endswith("<locals>.Local")
    with pytest.raises(
        UnknownSearcher, match="cannot be imported by another process; move the class to a module"
    ):
        text_of(Local)


# --- other processes


SCRIPT = """
import multiprocessing
import os
import sys

import joblib
import numpy as np

from nasgauge.harness.search.specs import Spec
from nasgauge.spaces.nb201 import NB201
{fixed}

def asked(spec):
    searcher = spec.make(NB201(), np.random.default_rng(0))
    return type(searcher).__name__, searcher.ask()[0].rank, os.getpid()

if __name__ == "__main__":
    pools = {{method: multiprocessing.get_context(method).Pool(1) for method in {methods}}}
    for pool in pools.values():
        pool.apply(os.getpid)
    with joblib.parallel_config(backend="loky", n_jobs=2):
        joblib.Parallel()(joblib.delayed(os.getpid)() for _ in range(4))
        os.chdir({folder!r})  # all workers were started elsewhere
        specs = [Spec.of(Fixed, rank=5), Spec.of("__main__:Fixed:rank=5"), Spec.of("deep.inside:Theirs:rank=6")]
        specs += [Spec.of("pnas-ucb"), Spec.of("evolution", population=4)]
        here = [asked(spec) for spec in specs]
        there = {{method: [pool.apply(asked, (spec,)) for spec in specs] for method, pool in pools.items()}}
        there["loky"] = joblib.Parallel()(joblib.delayed(asked)(spec) for spec in specs)
    for pool in pools.values():
        pool.close()
        pool.join()
    assert [first[:2] for first in here[:3]] == [("Fixed", 5), ("Fixed", 5), ("Theirs", 6)], here
    for method, found in there.items():
        assert [first[:2] for first in found] == [first[:2] for first in here], (method, found)
        assert os.getpid() not in {{first[2] for first in found}}
    print(*there)
"""


def run_script(arguments: list[str], folder: Path, code: str = "") -> str:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, *arguments],
        input=code, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def in_the_current_folder(folder: Path) -> None:
    """A module of a package there, which imports another one beside it."""
    (folder / "deep").mkdir()
    (folder / "deep" / "inside.py").write_text(
        "import beside\n"
        + FIXED.replace("Fixed", "Theirs").replace("[space[rank]]", "beside.cells(space, rank)")
    )
    (folder / "beside.py").write_text("def cells(space, rank): return [space[rank]]\n")


def test_a_spec_makes_the_same_searcher_in_workers_of_every_start_method(
    folder: Path, tmp_path: Path
) -> None:
    """A class of the script itself, one of a module of the current folder, and names."""
    in_the_current_folder(folder)
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    methods = ["spawn", "forkserver", "fork"]
    code = SCRIPT.format(fixed=FIXED, folder=str(folder), methods=methods)
    (scripts / "script.py").write_text(code)
    assert run_script([str(scripts / "script.py")], scripts) == "spawn forkserver fork loky"


def test_a_class_of_a_notebook_is_carried_to_the_workers(folder: Path, tmp_path: Path) -> None:
    """As there, `__main__` has no file that a worker could import."""
    in_the_current_folder(folder)
    code = SCRIPT.format(fixed=FIXED, folder=str(folder), methods=[])
    assert run_script(["-"], tmp_path, code) == "loky"


# --- proxies


PROXY = """
from nasgauge.harness.proxies import Proxy
def weights(network, batch):
    return float(sum(p.numel() for p in network.parameters()))
LIGHTEST = Proxy(weights, higher_is_better=False, needs_path=False)
"""


@pytest.mark.torch
def test_a_proxy_of_another_package_scores_cells(package: Package, nasgauge: Nasgauge) -> None:
    package("scoring", PROXY, {"nasgauge.proxies": {"lightest": "scoring:LIGHTEST"}})
    cells = [str(NB201()[0]), str(NB201()[15624])]
    done = nasgauge("score", "cells", *cells, "-p", "lightest,params")
    assert done.returncode == 0, done.stderr
    values = {
        name: [float(line.split()[2]) for line in done.stdout.splitlines() if line.split()[0] == name]
        for name in ("lightest", "params")
    }
    assert len(values["params"]) == 2
    assert values["lightest"] == pytest.approx([-1e6 * value for value in values["params"]], rel=1e-5)


@pytest.mark.torch
def test_broken_proxies_are_left_out_with_a_warning_and_named_when_asked_for(package: Package) -> None:
    from nasgauge.harness.proxies import BrokenProxy, InvalidProxy, proxies, proxy_named

    points = {
        "bare": "broken_proxies:weights",
        "absent": "broken_proxies:NOTHING",
        "zen": "broken_proxies:LIGHTEST",
    }
    package("broken_proxies", PROXY, {"nasgauge.proxies": points | {"lightest": "broken_proxies:LIGHTEST"}})
    with pytest.warns(BrokenProxy) as warned:
        found = proxies()
    ours = set(built_in("nasgauge.proxies"))
    assert set(found) == ours - {"zen"} | {"lightest"}
    assert len(warned) == 3
    for name, error in (
        ("bare", InvalidProxy),
        ("absent", PluginFailed),
        ("zen", NameClash),
        ("no", UnknownName),
    ):
        with pytest.raises(error, match=name):
            proxy_named(name)
    assert list(proxies(["snip", "lightest"])) == ["snip", "lightest"]


@pytest.mark.torch
def test_a_scorer_takes_some_proxies_alone() -> None:
    from nasgauge.data.images import open_images
    from nasgauge.harness.proxies import proxies
    from nasgauge.harness.proxies.score_files import Recipe
    from nasgauge.harness.proxies.scores import Scorer

    recipe = Recipe(kappa_batch=4, repeats=1, region_samples=40, channels=2, cells=1, batch=4)
    cell = NB201()[15624]
    some = Scorer(recipe, open_images(), named=proxies(["naswot", "kappa"])).score(cell)
    every = Scorer(recipe, open_images(), named=proxies(built_in("nasgauge.proxies"))).score(cell)
    assert [score.proxy for score in some] == ["kappa", "naswot"]
    values = {score.proxy: score.value for score in every}
    assert {score.proxy: score.value for score in some} == {
        name: values[name] for name in ("kappa", "naswot")
    }
