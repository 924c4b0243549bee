"""The plan of the house, as CONTRIBUTING.md draws it: imports point down, and a table search stays light."""

import re
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from house import FOLDERS, INSTALLED, MODULES, folder_of, imports

ROOT = Path(__file__).resolve().parents[1]
SUBCOMMANDS = {
    "bench", "check", "data", "gate", "merge", "pack", "proxies", "recipes", "report", "score", "search", "searchers", "tables",
    "train", "transfer", "verify",
}  # fmt: skip
TORCH = re.compile(r"nasgauge\.(harness\.(network|training|proxies|ntk)|data\.images)")
HEAVY = ("torch", "torchvision", "matplotlib", "pandas", "scipy", "sklearn")


@cache
def plan() -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    """The plan in CONTRIBUTING.md: the height of each floor, and of the parts that a floor orders."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    lines = re.findall(r"^    (\d) +([a-z ]+?)(?:: +(.+))?$", text, re.MULTILINE)
    floors: dict[str, int] = {}
    parts: dict[str, dict[str, int]] = {}
    for number, names, order in lines:
        for name in names.split():
            floors[name] = int(number)
            steps = [step.split() for step in order.split(">")] if order else []
            parts[name] = {part: -height for height, step in enumerate(steps) for part in step}
    return floors, parts


def ours(module: str) -> list[str]:
    """The modules of ours that a module imports."""
    return sorted(name for name in imports(module) if name.partition(".")[0] == "nasgauge")


def test_the_plan_names_every_folder() -> None:
    floors, parts = plan()
    assert set(floors) == set(FOLDERS)
    for module in MODULES:
        floor, part = folder_of(module)
        is_package = any(name.startswith(f"{module}.") for name in MODULES)
        if part and parts[floor] and is_package:
            assert part in parts[floor], f"{module} is not in the plan"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_point_down(module: str) -> None:
    floors, parts = plan()
    floor, part = folder_of(module)
    for imported in ours(module):
        below, piece = folder_of(imported)
        if below != floor:
            assert floors[below] < floors[floor], (
                f"{module} imports {imported}, which is not on a lower floor"
            )
        elif piece != part:
            order = parts[floor]
            assert order.get(piece, 0) <= order.get(part, 0), (
                f"{module} imports {imported}, which is above it"
            )
            if piece in order and part in order:
                assert order[piece] < order[part], f"{module} imports {imported}, which stands beside it"


def test_no_imports_run_in_a_circle() -> None:
    graph = {
        module: {name for name in ours(module) if name in MODULES and not module.startswith(f"{name}.")}
        for module in MODULES
    }
    TopologicalSorter(graph).prepare()


def test_no_folder_holds_more_than_three_tenths() -> None:
    lines = dict.fromkeys(FOLDERS, 0)
    parts: dict[tuple[str, str], int] = {}
    for module, path in MODULES.items():
        count = len(path.read_text(encoding="utf-8").splitlines())
        lines[folder_of(module)[0]] += count
        parts[folder_of(module)] = parts.get(folder_of(module), 0) + count
    total = sum(lines.values())
    assert max(lines.values()) <= 0.3 * total, lines
    assert max(parts.values()) <= 0.3 * total, parts


@pytest.mark.parametrize("module", [m for m in sorted(MODULES) if folder_of(m)[0] == "searchers"])
def test_searchers_cannot_read_a_truth(module: str) -> None:
    for imported in ours(module):
        assert folder_of(imported)[0] in ("spaces", "searchers"), imported


@pytest.mark.parametrize("module", [m for m in sorted(MODULES) if folder_of(m)[0] == "analysis"])
def test_analysis_sees_results_alone(module: str) -> None:
    """And where work runs: figures are rendered side by side."""
    results = ("nasgauge.analysis", "nasgauge.harness.records", "nasgauge.spaces", "nasgauge.data.atomic")
    allowed = (*results, "nasgauge.harness.engines")
    for imported in ours(module):
        assert imported.startswith(allowed), imported


@pytest.mark.parametrize("module", sorted(MODULES))
def test_our_own_modules_are_imported_by_their_full_names(module: str) -> None:
    assert not {name.partition(".")[0] for name in imports(module)} & (set(FOLDERS) - {"nasgauge"})


@pytest.mark.parametrize("module", sorted(MODULES))
def test_torch_is_kept_to_its_modules(module: str) -> None:
    if not TORCH.match(module):
        loaded = {imported.partition(".")[0] for imported in imports(module, top_level=True)}
        assert not loaded & {"torch", "torchvision"}


@pytest.mark.parametrize(
    "module", [m for m in sorted(MODULES) if not m.startswith("nasgauge.data.importers")]
)
def test_pickles_are_opened_in_one_module(module: str) -> None:
    assert not {"pickle", "joblib.numpy_pickle", "dill", "cloudpickle"} & imports(module)


def loaded_by(code: str, folder: Path) -> set[str]:
    script = f"import sys\n{code}\nprint(*sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=True
    )
    return set(done.stderr.splitlines()[-1].split())


def test_the_package_itself_loads_nothing_heavy(tmp_path: Path) -> None:
    assert not loaded_by("import nasgauge", tmp_path) & set(HEAVY)


def test_help_and_a_table_search_load_nothing_heavy(toy_file: Path, tmp_path: Path) -> None:
    shown = loaded_by(
        "import nasgauge.cli, typer.testing\ntyper.testing.CliRunner().invoke(nasgauge.cli.app, ['--help'])",
        tmp_path,
    )
    assert not shown & {*HEAVY, "numpy", "pyarrow", "joblib", "pydantic"}
    searched = loaded_by(
        "import nasgauge.cli, typer.testing\n"
        f"command = ['search', 'random', '-t', {str(toy_file)!r}, '-o', {str(tmp_path / 'o')!r}]\n"
        "command += ['-n', '2', '-b', '5', '-j', '1']\n"
        "done = typer.testing.CliRunner().invoke(nasgauge.cli.app, command)\n"
        "assert done.exit_code == 0, done.output",
        tmp_path,
    )
    assert "nasgauge.harness.search.campaign" in searched
    assert not searched & {"torch", "torchvision", "matplotlib"}


def test_the_subcommands_are_these() -> None:
    from nasgauge.cli import app

    names = {c.name or getattr(c.callback, "__name__", "") for c in app.registered_commands}
    names |= {str(group.name) for group in app.registered_groups}
    assert names == SUBCOMMANDS, "a new subcommand is a decision: say why in the changelog"


def test_no_file_grows_beyond_reading() -> None:
    long = {
        module: count
        for module, path in MODULES.items()
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > 330
    }
    assert not long, "a file of over about 300 lines wants to be two"


def test_the_folders_are_parts_of_one_package() -> None:
    assert INSTALLED.is_dir()
    for folder in FOLDERS:
        assert (INSTALLED / folder).is_dir() or folder == "nasgauge"
