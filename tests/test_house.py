"""The plan of the house, as CONTRIBUTING.md draws it: imports point down, and a table search stays light."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("analysis", "data", "harness", "searchers")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
SUBCOMMANDS = {"bench", "check", "data", "gate", "report", "score", "search", "train"}
TORCH = re.compile(r"harness\.(network|training|proxies|ntk)|data\.image|searchers\.surrogates")
HEAVY = ("torch", "torchvision", "matplotlib", "pandas", "scipy", "sklearn")


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {name_of(path) for path in MODULES}


@cache
def rows() -> dict[str, int]:
    """The table of rows in CONTRIBUTING.md: a number, then the modules (or packages of them) on that row."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    found = re.findall(r"^(\d+)  +(.+)$", text, re.MULTILINE)
    return {module: int(row) for row, names in found for module in names.split()}


def part_of(module: str) -> str:
    """The module or folder of the table that a module belongs to."""
    while module and module not in rows():
        module = module.rpartition(".")[0]
    return module


def imports(path: Path, *, top_level: bool = False) -> set[str]:
    tree = ast.parse(path.read_text())
    found: set[str] = set()
    for node in tree.body if top_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {
                f"{node.module}.{alias.name}" if f"{node.module}.{alias.name}" in NAMES else node.module
                for alias in node.names
            }
    return found


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_down(path: Path) -> None:
    part = part_of(name_of(path))
    assert part, "the module has no row in CONTRIBUTING.md"
    for imported in {part_of(name) for name in imports(path) if name.partition(".")[0] in PACKAGES} - {part}:
        assert rows()[imported] < rows()[part], f"{part} imports {imported}, which is not on a lower row"


def test_nobody_imports_the_command_line() -> None:
    for path in MODULES:
        if not name_of(path).startswith("harness.cli"):
            assert not any(imported.startswith("harness.cli") for imported in imports(path)), path


@pytest.mark.parametrize("path", [p for p in MODULES if p.parent.name == "searchers"], ids=name_of)
def test_searchers_cannot_read_a_truth(path: Path) -> None:
    allowed = ("harness.cells", "harness.spaces", "harness.block", "searchers")
    for imported in imports(path):
        assert imported.partition(".")[0] not in PACKAGES or imported.startswith(allowed), imported


@pytest.mark.parametrize("path", [p for p in MODULES if p.is_relative_to(ROOT / "analysis")], ids=name_of)
def test_analysis_sees_results_alone(path: Path) -> None:
    allowed = ("harness.cells", "harness.records", "harness.results", "harness.atomic", "analysis")
    for imported in imports(path):
        assert imported.partition(".")[0] not in PACKAGES or imported.startswith(allowed), imported


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_torch_is_kept_to_its_modules(path: Path) -> None:
    if not TORCH.match(name_of(path)):
        loaded = {imported.partition(".")[0] for imported in imports(path, top_level=True)}
        assert not loaded & {"torch", "torchvision"}


@pytest.mark.parametrize(
    "path", [p for p in MODULES if p.parent.name != "importers" and p.stem != "importers"], ids=name_of
)
def test_pickles_are_opened_in_one_module(path: Path) -> None:
    assert not {"pickle", "joblib.numpy_pickle", "dill", "cloudpickle"} & imports(path)


def loaded_by(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(*sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stderr.splitlines()[-1].split())


def test_help_and_a_table_search_load_nothing_heavy(toy_file: Path, tmp_path: Path) -> None:
    shown = loaded_by(
        "import harness.cli, typer.testing\ntyper.testing.CliRunner().invoke(harness.cli.app, ['--help'])"
    )
    assert not shown & {*HEAVY, "numpy", "pyarrow", "joblib", "pydantic"}
    searched = loaded_by(
        "import harness.cli, typer.testing\n"
        f"command = ['search', 'random', '-t', {str(toy_file)!r}, '-o', {str(tmp_path / 'o')!r}]\n"
        "command += ['-n', '2', '-b', '5', '-j', '1']\n"
        "done = typer.testing.CliRunner().invoke(harness.cli.app, command)\n"
        "assert done.exit_code == 0, done.output"
    )
    assert "harness.campaign" in searched
    assert not searched & {"torch", "torchvision", "matplotlib"}


def test_the_subcommands_are_these() -> None:
    from harness.cli import app

    names = {c.name or getattr(c.callback, "__name__", "") for c in app.registered_commands}
    names |= {str(group.name) for group in app.registered_groups}
    assert names == SUBCOMMANDS, "a new subcommand is a decision: say why in the changelog"


def test_no_file_grows_beyond_reading() -> None:
    long = {name_of(path): n for path in MODULES if (n := len(path.read_text().splitlines())) > 330}
    assert not long, "a file of over about 300 lines wants to be two"
