"""Runs the blocks of a page, one after another, in the current folder; a process for each page.

    python docs_runner.py blocks.json       the blocks of a page
    python docs_runner.py nasgauge …        one command, by the same rules; what `nasgauge` in a shell block is

Everything is run as it stands, with these exceptions, which make a page a matter of seconds. They are options that
stand behind those of the page, where the command has them; what a page says is not altered.
"""

import json
import os
import shlex
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial, wraps
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

if TYPE_CHECKING:
    from docs_blocks import Block

SEEDS, QUERIES = 2, 20
ENOUGH = {"--seeds": 12, "--budget": 60, "--workers": 2}
"""Numbers of a page up to these are used as they stand; for the gate, all are."""
SHORTER: dict[str, dict[str, str]] = {
    "": {"--workers": "1"},
    "bench": {"--seeds": str(SEEDS), "--budget": str(QUERIES)},
    "search": {"--seeds": str(SEEDS), "--budget": str(QUERIES)},
    "check": {"--queries": str(QUERIES)},
    "gate --update": {"--seeds": "20", "--budgets": "10,20"},
    "train": {"--epochs": "1", "--seeds": "1"},
    "score agreement": {"--resamples": "20", "--over": "classes"},
    "score tenas": {"--seeds": "1"},
    "score predictors": {"--trials": "1"},
    "score efficiency": {"--at": "5,10"},
}
"""Options that are set for each command: fewer seeds, queries, epochs, trials and resamples, and one worker."""
SHELL_SYNTAX = set("|&;<>$`(){}*?~")


def run_page(found: "list[Block]", folder: Path, python: str = sys.executable) -> str:
    """Run blocks in a folder by a Python; gives what they print."""
    todo = folder / "blocks.json"
    todo.write_text(json.dumps([asdict(block) for block in found]))
    done = subprocess.run(
        [python, str(Path(__file__).absolute()), todo.name],
        cwd=folder,
        env=users_environment() | {"COLUMNS": "120", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def users_environment() -> dict[str, str]:
    """The variables of this process without those of the tests."""
    ours = ("COV_", "PYTEST_", "NASGAUGE_TESTS")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def shorter(arguments: list[str]) -> list[str]:
    """The arguments of `nasgauge` with those of `SHORTER` behind them."""
    import typer

    from nasgauge.cli import app

    command, words = typer.main.get_command(app), list(arguments)
    path: list[str] = []
    while hasattr(command, "commands") and words and words[0] in command.commands:
        path.append(words.pop(0))
        command = command.commands[path[-1]]
    name = " ".join(path)
    if name == "gate" and "--update" in words:
        name = "gate --update"
    takes = {option for parameter in command.params for option in parameter.opts}
    fewer = SHORTER[""] | SHORTER.get(name, {})
    for option, value in pairwise(words):
        small = option in ENOUGH and value.isdigit() and int(value) <= ENOUGH[option]
        if small or (name == "gate --update" and option in fewer):
            fewer.pop(option, None)
        if option in ("--budget", "-b") and value.endswith("epochs"):
            fewer["--budget"] = "2000 epochs"
    if name == "score cells" and "--all" not in words:
        del fewer["--workers"]
    if name == "search" and "train" in words:
        fewer["--budget"] = "2"
    return arguments + [
        word for option, value in fewer.items() if option in takes for word in (option, value)
    ]


def nasgauge(arguments: list[str]) -> None:
    """Run the command line in this process; raises where its exit code is not 0.

    Without `--out`, results are in the folder that is named after the page's budget, not after the shorter one.
    """
    from nasgauge.cli import main
    from nasgauge.cli.options import Run

    given = [value for option, value in pairwise(arguments) if option in ("--budget", "-b")]
    folder, budget = Run.folder, given[-1] if given else ""
    sys.argv = ["nasgauge", *shorter(arguments)]
    try:
        with patch.object(Run, "folder", lambda run, what: folder(replace(run, budget=budget), what)):
            main()
    except SystemExit as ended:
        if ended.code:
            raise RuntimeError(f"exit code {ended.code}: {shlex.join(sys.argv)}") from None


def shell(text: str) -> None:
    """Run a shell block: commands of nasgauge alone in this process, all others by bash."""
    from docs_blocks import commands_of

    commands = commands_of(text)
    if all(line.startswith("nasgauge ") and not SHELL_SYNTAX & set(line.split(" #")[0]) for line in commands):
        for line in commands:
            nasgauge(shlex.split(line, comments=True)[1:])
        return
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", text], check=False)
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode}")


def python(text: str, place: str, scope: dict[str, Any]) -> None:
    """Run a Python block in the names of its page."""
    lines = int(place.rpartition(":")[2]) - 1
    exec(compile("\n" * lines + text, place.rpartition(":")[0], "exec"), scope)


def shorten_the_api() -> None:
    """The same rules for `nasgauge.bench` and `nasgauge.search`."""
    import nasgauge as ng

    def fewer(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*arguments: Any, **options: Any) -> Any:
            for name, short in (("seeds", SEEDS), ("budget", QUERIES)):
                given = options.get(name)
                if not isinstance(given, int) or given > ENOUGH[f"--{name}"]:
                    options[name] = short
            return function(*arguments, **{"workers": 1} | options)

        return call

    ng.bench, ng.search = fewer(ng.bench), fewer(ng.search)


def commands_on_the_path() -> None:
    """`nasgauge`, `python` and `pytest` of shell blocks are those of this environment."""
    folder = Path(".commands").absolute()
    folder.mkdir()
    this = f'exec "{sys.executable}"'
    for name, line in {
        "nasgauge": f'{this} -P "{Path(__file__).absolute()}" nasgauge "$@"',
        "python": f'{this} "$@"',
        "pytest": f'{this} -m pytest -p no:cacheprovider "$@"',
    }.items():
        (folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / name).chmod(0o755)
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"


def run(page: Path) -> int:
    """Run a page; say what was run and for how long, and stop at the first block that fails."""
    from docs_blocks import Block

    from nasgauge.spaces.errors import MissingExtra

    commands_on_the_path()
    shorten_the_api()
    sys.path.insert(0, "")
    scope: dict[str, Any] = {"__name__": "__main__"}
    for block in (Block(**one) for one in json.loads(page.read_text())):
        if block.file:
            Path(block.file).parent.mkdir(parents=True, exist_ok=True)
            Path(block.file).write_text(block.text)
        if block.file or not block.is_run:
            continue
        start = time.monotonic()
        act = (
            partial(shell, block.text) if block.is_shell else partial(python, block.text, block.place, scope)
        )
        try:
            act()
        except MissingExtra as missing:
            print(f"{block.place}: not run here: {missing}")
        except Exception:
            traceback.print_exc()
            print(f"{block.place}: this block does not run; mend it, or mark it: <!-- not run: REASON -->")
            return 1
        print(f"{block.place}: {time.monotonic() - start:.1f} s")
    return 0


if __name__ == "__main__":
    if sys.argv[1] == "nasgauge":
        nasgauge(sys.argv[2:])
    else:
        sys.path.insert(0, str(Path(__file__).parent))
        sys.exit(run(Path(sys.argv[1])))
