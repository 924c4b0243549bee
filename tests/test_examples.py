"""The examples do what their pages say: the plugin in an environment of its own, the paper in LaTeX, scripts of clusters."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from importlib.util import find_spec
from pathlib import Path

import pytest
from docs_blocks import ROOT, blocks
from docs_runner import run_page, users_environment

import nasgauge
from nasgauge.conformance.laws import LAWS

EXAMPLES = ROOT / "examples"
PLUGIN = EXAMPLES / "plugin"
PACKAGE = Path(nasgauge.__file__).parent
LATEX = shutil.which("pdflatex")


def run(*command: str | Path, cwd: Path, **variables: str) -> str:
    """Run a command as a user's shell would, without the variables of this session; gives all that it prints."""
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, env=users_environment() | variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False,
    )  # fmt: skip
    assert not done.returncode, done.stdout
    return done.stdout


@pytest.fixture
def commands(tmp_path: Path) -> str:
    """A PATH on which `nasgauge` and `python` are this environment's."""
    folder = tmp_path / "commands"
    folder.mkdir()
    for name, code in {
        "nasgauge": f'exec "{sys.executable}" -P -c "from nasgauge.cli import main; main()" "$@"',
        "python": f'exec "{sys.executable}" "$@"',
    }.items():
        (folder / name).write_text(f"#!/bin/sh\n{code}\n")
        (folder / name).chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


# --- the plugin


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the plugin, built from a copy of its folder; all other packages are those of this one."""
    folder = tmp_path_factory.mktemp("plugin")
    copy = folder / "plugin"
    shutil.copytree(PLUGIN, copy, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache", "results"))
    home = folder / "home"
    venv.create(home)
    paths = sysconfig.get_paths(vars={"base": str(home), "platbase": str(home)})
    others = [path for path in sys.path if Path(path).name == "site-packages"]
    others += [str(PACKAGE.parent)] * (PACKAGE.parent not in map(Path, others))  # a checkout
    Path(paths["purelib"], "others.pth").write_text("\n".join(others))
    pip = ("-m", "pip", "--python", home / "bin" / "python")
    run(
        sys.executable,
        *pip,
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        copy,
        cwd=folder,
    )
    return folder


def test_the_plugin_is_installed_and_found_by_its_names(plugin: Path) -> None:
    script = "from nasgauge.cli import main; main()"
    python = plugin / "home" / "bin" / "python"
    shown = run(python, "-P", "-c", script, "searchers", "annealing", cwd=plugin)
    assert "from nasgauge-annealing, nasgauge_annealing.searcher:Annealing" in shown
    assert "temperature=3.0" in shown
    options = ("-d", "cifar10", "-n", "3", "-b", "20", "-j", "1", "-o", "results")
    run(python, "-P", "-c", script, "bench", "--searchers", "random,annealing", *options, cwd=plugin)
    assert (plugin / "results" / "report" / "report.html").is_file()
    final = (plugin / "results" / "report" / "final.csv").read_text()
    assert "annealing" in final
    assert "random" in final


@pytest.mark.slow
def test_the_tests_of_the_plugin_pass(plugin: Path) -> None:
    shown = run(
        plugin / "home" / "bin" / "python", "-m", "pytest", "-p", "no:cacheprovider", cwd=plugin / "plugin"
    )
    laws = len(LAWS)
    expected = f"{laws + 9} passed" if find_spec("torch") else f"{laws + 6} passed, 1 skipped"
    assert expected in shown


@pytest.mark.slow
@pytest.mark.torch
def test_the_page_of_the_plugin_runs(plugin: Path, tmp_path: Path) -> None:
    folder = tmp_path / "plugin"
    shutil.copytree(plugin / "plugin", folder)
    page = list(blocks("examples/plugin/README.md", (PLUGIN / "README.md").read_text(encoding="utf-8")))
    assert sum(block.is_run for block in page) >= 4
    run_page(page, folder, str(plugin / "home" / "bin" / "python"))


# --- the paper


@pytest.mark.slow
def test_the_paper_compiles_with_the_figure_and_the_table(tmp_path: Path) -> None:
    for path in (EXAMPLES / "paper").iterdir():
        shutil.copy(path, tmp_path)
    run(sys.executable, "-P", "figure.py", "12", "30", cwd=tmp_path)
    assert (tmp_path / "efficiency.pdf").read_bytes().startswith(b"%PDF")
    table = (tmp_path / "table.tex").read_text()
    assert r"\toprule" in table
    assert "evolution" in table
    if LATEX is None:
        pytest.skip("pdflatex is not installed")
    shown = run(LATEX, "-halt-on-error", "-interaction=nonstopmode", "paper.tex", cwd=tmp_path)
    assert "Output written on paper.pdf (1 page" in shown
    assert "Overfull" not in shown


# --- clusters


@pytest.mark.slow
def test_the_slurm_script_runs_its_seeds_and_merges_them(tmp_path: Path, commands: str) -> None:
    """Two tasks of the array, one after another, as SLURM would start them."""
    script = tmp_path / "slurm.sh"
    shutil.copy(EXAMPLES / "cluster" / "slurm.sh", script)
    run("bash", "-n", script, cwd=tmp_path)
    lines = script.read_text().splitlines()
    directives = [line for line in lines if line.startswith("#SBATCH")]
    assert any("--array=" in line for line in directives)
    first = next(place for place, line in enumerate(lines) if line and not line.startswith("#"))
    assert lines.index(directives[-1]) < first, "SLURM reads no directive behind the first command"
    small = {
        "PATH": commands,
        "SEEDS": "2",
        "SEARCHERS": "random,local",
        "OPTIONS": "--dataset cifar10 --budget 10",
    }
    for task in ("0", "1"):
        run("bash", script, cwd=tmp_path, SLURM_ARRAY_TASK_ID=task, SLURM_CPUS_PER_TASK="1", **small)
    assert len(list((tmp_path / "results").glob("part-*"))) == 4
    shown = run("bash", script, "merge", cwd=tmp_path, **small)
    assert "report.html" in shown
    from nasgauge import open_results

    frame = open_results(tmp_path / "results" / "all").frame()
    assert frame.groupby("searcher")["seed"].unique().map(list).to_dict() == {
        "local": [0, 1, 2, 3],
        "random": [0, 1, 2, 3],
    }


def test_the_slurm_script_refuses_to_run_outside_of_a_job(tmp_path: Path) -> None:
    without = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")}
    done = subprocess.run(
        ["bash", str(EXAMPLES / "cluster" / "slurm.sh")], cwd=tmp_path, env=without, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode
    assert "submit this script with sbatch" in done.stderr


@pytest.mark.slow
def test_the_ray_script_gives_the_same_bytes_as_one_process(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    script = EXAMPLES / "cluster" / "ray_campaign.py"
    options = (
        "--searchers",
        "random",
        "local",
        "--dataset",
        "cifar10",
        "--seeds",
        "4",
        "--budget",
        "10",
        "--out",
        "ray",
    )
    run(sys.executable, "-P", script, *options, cwd=tmp_path, PYTHONWARNINGS="ignore")
    here = tmp_path / "here"
    nasgauge.bench(
        ["random", "local"], dataset="cifar10", seeds=4, budget=10, out=here, workers=1, progress=False
    )
    files = sorted(path.name for path in here.glob("*.parquet"))
    assert files
    for name in files:
        assert (tmp_path / "ray" / name).read_bytes() == (here / name).read_bytes()
