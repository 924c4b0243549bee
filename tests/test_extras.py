"""What happens where the packages of an extra are not installed."""

import importlib.metadata
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nasgauge.spaces.errors import EXTRAS, MissingExtra, extras_explained, missing

CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"

WITHOUT = """
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name in {0} else super().find_spec(name, path, target)

    @classmethod
    def find_distributions(cls, context):
        return [] if context.name in {0} else super().find_distributions(context)

sys.meta_path = [Without if finder is PathFinder else finder for finder in sys.meta_path]
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of processes that cannot import the package of any extra."""
    folder = tmp_path_factory.mktemp("bare")
    (folder / "sitecustomize.py").write_text(WITHOUT.format(sorted(EXTRAS)))
    return os.environ | {"PYTHONPATH": str(folder), "COLUMNS": "300"}


def nasgauge(bare: dict[str, str], cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from nasgauge.cli import main; main()", *arguments]
    return subprocess.run(command, env=bare, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("extra", "command"),
    [
        ("train", ["train", CELL, "-d", "made-up", "-r", "tiny"]),
        ("train", ["score", "cells", CELL]),
        ("train", ["score", "tenas"]),
        ("train", ["search", "random", "--oracle", "train", "-d", "made-up", "-n", "1", "-b", "2"]),
        ("surrogates", ["search", "tpe", "-t", "TOY", "-n", "1", "-b", "2"]),
        ("surrogates", ["search", "smbo:surrogate=lightgbm", "-t", "TOY", "-n", "1", "-b", "2"]),
        ("surrogates", ["search", "smbo:surrogate=forest", "-t", "TOY", "-n", "1", "-b", "2"]),
        ("surrogates", ["search", "gp", "-t", "TOY", "-n", "1", "-b", "2"]),
        ("optimizers", ["search", "nevergrad", "-t", "TOY", "-n", "1", "-b", "2"]),
        ("bundled", ["bench", "-t", "bundled", "-s", "random", "-n", "1", "-b", "2"]),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value[:3])[:40],
)
def test_a_command_names_the_extra_that_it_needs(
    extra: str, command: list[str], bare: dict[str, str], toy_file: Path, tmp_path: Path
) -> None:
    done = nasgauge(bare, tmp_path, *(str(toy_file) if word == "TOY" else word for word in command))
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("error: ")
    assert f'run: pip install "nasgauge[{extra}]"' in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_default_commands_need_no_extra(bare: dict[str, str], toy_file: Path, tmp_path: Path) -> None:
    bench = ("bench", "-t", str(toy_file), "-n", "2", "-b", "20", "-s", "random,evolution,local,reinforce")
    for command in (
        (*bench, "-o", "out", "-j", "2"),
        ("report", "out"),
        ("check", "evolution", "-q", "20"),
        ("data", "list"),
        ("data", "info", str(toy_file)),
        ("gate", "--help"),
    ):
        done = nasgauge(bare, tmp_path, *command)
        assert done.returncode == 0, done.stdout + done.stderr


def test_each_package_is_in_its_extra() -> None:
    """As the installed package's own metadata has it."""
    names = {"lightning_fabric": "lightning-fabric", "sklearn": "scikit-learn"}
    declared = {}
    for line in importlib.metadata.requires("nasgauge") or []:
        if found := re.match(
            r'([\w-]+).*; extra == [\'"](train|surrogates|optimizers|bundled|ray|dask|slurm|storage|s3|gs)[\'"]$',
            line,
        ):
            declared[found[1]] = found[2]
    assert {names.get(name, name): extra for name, extra in EXTRAS.items()} == declared


def test_the_error_is_one_of_ours_and_an_import_error() -> None:
    with (
        pytest.raises(MissingExtra, match=r'package torch.*pip install "nasgauge\[train\]"'),
        extras_explained(),
    ):
        raise ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn")
    with pytest.raises(ModuleNotFoundError, match="theirs"), extras_explained():
        raise ModuleNotFoundError("No module named 'theirs'", name="theirs")
    error = missing("optuna")
    assert isinstance(error, ImportError)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
