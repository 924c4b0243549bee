"""The modules of the package and what each of them imports, read from their sources."""

import ast
from functools import cache
from pathlib import Path

import nasgauge
import nasgauge.harness

FOLDERS = ("nasgauge", "analysis", "harness", "data", "searchers", "spaces")
INSTALLED = Path(*nasgauge.harness.__path__).parent
"""Where the five folders are: in a wheel inside `nasgauge`, in a checkout beside it."""


def _paths() -> dict[str, Path]:
    """Every module by its full name."""
    front = Path(nasgauge.__file__).parent
    found: dict[str, Path] = {}
    for folder in FOLDERS:
        top = front if folder == "nasgauge" else INSTALLED / folder
        base = front.parent if folder == "nasgauge" else INSTALLED
        for path in sorted(top.rglob("*.py")):
            parts = path.relative_to(base).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            name = ".".join(parts if folder == "nasgauge" else ("nasgauge", *parts))
            found.setdefault(name, path)
    return found


MODULES: dict[str, Path] = _paths()


def folder_of(module: str) -> tuple[str, str]:
    """The floor and the part of it that a module belongs to: `("harness", "search")`, `("nasgauge", "cli")`."""
    _, *rest = module.split(".")
    if rest and rest[0] in FOLDERS:
        return rest[0], rest[1] if len(rest) > 1 else ""
    return "nasgauge", rest[0] if rest else ""


@cache
def imports(module: str, *, top_level: bool = False) -> frozenset[str]:
    """Modules that a module imports: ours by their full names, others as they are written."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    found: set[str] = set()
    for node in tree.body if top_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            ours = {name for name in names if name in MODULES}
            found |= ours or {node.module}
    return frozenset(found)
