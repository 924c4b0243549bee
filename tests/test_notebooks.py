"""The notebooks run from top to bottom with the public API alone; the site shows them with these outputs."""

import ast
import os
from pathlib import Path

import jupytext
import nbclient
import nbformat
import pytest

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "notebooks"
NAMES = ("first-campaign", "own-searcher", "proxies", "search-to-training")
NEEDS_TORCH = ("proxies", "search-to-training")
TIME_LIMIT = 600
"""Seconds for each cell; on two free cores a notebook is a matter of seconds, on a busy machine of minutes."""


def read(name: str) -> nbformat.NotebookNode:
    notebook: nbformat.NotebookNode = jupytext.read(FOLDER / f"{name}.py")
    return notebook


def test_these_are_all_notebooks() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.py")) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_uses_the_public_api_alone(name: str) -> None:
    import nasgauge

    cells = [cell.source for cell in read(name).cells if cell.cell_type == "code"]
    tree = ast.parse("\n".join(cells))
    modules = {one.name for node in ast.walk(tree) if isinstance(node, ast.Import) for one in node.names}
    modules |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {module for module in modules if module.partition(".")[0] == "nasgauge"} == {"nasgauge"}
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "ng"
    }
    assert used
    assert used <= set(nasgauge.__all__)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_opens_with_a_title_and_explains_its_steps(name: str) -> None:
    cells = read(name).cells
    assert cells[0].source.startswith("# ")
    assert sum(cell.cell_type == "markdown" for cell in cells) >= 5


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of Jupyter's own matters
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.torch if name in NEEDS_TORCH else ()) for name in NAMES]
)
def test_a_notebook_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONWARNINGS", "error::FutureWarning,error::DeprecationWarning:nasgauge")
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    notebook = read(name)
    client = nbclient.NotebookClient(
        notebook, timeout=TIME_LIMIT, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    assert not list(tmp_path.iterdir()), "a notebook leaves nothing behind"
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert [
        output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"
    ] == []
    assert any("image/png" in output.get("data", {}) for output in outputs)
