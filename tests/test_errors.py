"""Every error of the package that a user can meet has one base class."""

import ast
import builtins

import pytest
from house import MODULES

from nasgauge.cli import console
from nasgauge.spaces.errors import NasgaugeError

CAUGHT = {"nasgauge.conformance.trial.Broken", "nasgauge.data.sealed.Damaged"}
"""Never shown: a part of the package raises it for another part."""
BUILTINS = {
    name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, Exception)
}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_every_error_class_is_a_nasgauge_error(module: str) -> None:
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef) and f"{module}.{node.name}" not in CAUGHT:
            bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
            if bases & BUILTINS and not any(base.endswith("Warning") for base in bases):
                assert "NasgaugeError" in bases or node.name == "NasgaugeError", node.name


def test_the_command_line_catches_them_and_what_the_disk_says() -> None:
    assert set(console.expected_errors()) == {NasgaugeError, OSError}
