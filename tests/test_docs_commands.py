"""Every command and block of the pages is run, or says why not; every example of a help text is accepted.

How: `docs_blocks` reads the pages, `docs_runner` runs them and has the rules by which long commands are shortened.
"""

import inspect
import json
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
import yaml
from docs_blocks import ROOT, SHELL, SHOWN, Block, blocks, commands_of, commands_within_lines, name_of, pages
from docs_runner import run_page

from nasgauge.cli import app

FAST = ("docs/searchers.md", "docs/explanation/statistics.md", "docs/explanation/determinism.md")
"""Pages that are run with the fast tests; all others are slow."""
ELSEWHERE = ("examples/plugin/README.md",)
"""Pages that another test runs, in an environment where their package is installed."""
PLACEHOLDERS = ("COMMAND", "…", "...")
COUNTED = 40
"""How many blocks are run at least; fewer mean that they are not found."""

all_blocks = [block for page in pages() for block in blocks(name_of(page), page.read_text(encoding="utf-8"))]


def cases() -> Iterator[object]:
    for page in pages():
        name = name_of(page)
        if name not in ELSEWHERE and any(block.is_run for block in all_blocks if block.page == name):
            yield pytest.param(name, marks=() if name in FAST else pytest.mark.slow)


@pytest.mark.parametrize("page", list(cases()))
def test_every_block_of_a_page_runs(page: str, tmp_path: Path) -> None:
    for name in ("benchmarks", "docs/trained"):  # what pages read of the checkout, and do not write to
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(ROOT / name)
    print(run_page([block for block in all_blocks if block.page == page], tmp_path))


def test_blocks_have_a_language_that_is_known() -> None:
    assert {*FAST, *ELSEWHERE} <= {name_of(page) for page in pages()}
    known = {*SHELL, *SHOWN, "python"}
    assert {block.place: block.language for block in all_blocks if block.language not in known} == {}
    assert sum(block.is_run for block in all_blocks) >= COUNTED


def test_a_block_that_is_not_run_says_why() -> None:
    marked = [block for block in all_blocks if block.reason is not None]
    for block in marked:
        print(f"{block.place}: {block.reason}")
    assert [block.place for block in marked if len((block.reason or "").split()) < 2] == []
    assert [block.place for block in marked if not block.is_shell and block.language != "python"] == []


@pytest.mark.parametrize(
    "block", [b for b in all_blocks if b.language in ("yaml", "toml", "json")], ids=lambda b: b.place
)
def test_files_that_are_shown_can_be_read(block: Block) -> None:
    {"yaml": yaml.safe_load, "toml": tomllib.loads, "json": json.loads}[block.language](block.text)


# --- commands that are shown, but not run: the command line must know them


def accepted(command: str) -> None:
    """Parse a command as the command line does, and do nothing.

    Raises what the command line says of it.
    """
    words = shlex.split(command, comments=True)
    parser = typer.main.get_command(app)
    context = parser.make_context("nasgauge", words[1:])
    while hasattr(parser, "resolve_command"):
        name, parser, words = parser.resolve_command(context, [*context._protected_args, *context.args])
        context = parser.make_context(name, words, parent=context)


def refused(commands: list[tuple[str, str]]) -> dict[str, str]:
    """What the command line says of the commands that it does not know, by their places."""
    found = {}
    for place, command in commands:
        if any(word in command for word in PLACEHOLDERS) or "--help" in command:
            continue
        try:
            accepted(command)
        except Exception as error:
            found[f"{place}: {command}"] = str(getattr(error, "format_message", error.__repr__)())
    return found


def test_the_parser_refuses_what_it_should() -> None:
    assert set(refused([("", "nasgauge bench --sead 3"), ("", "nasgauge frob"), ("", "nasgauge data info")])) == {
        ": nasgauge bench --sead 3", ": nasgauge frob", ": nasgauge data info",
    }  # fmt: skip
    assert refused([("", 'nasgauge search pnas --budget "60 epochs"  # so')]) == {}


def test_commands_in_sentences_and_tables_are_known() -> None:
    found = [
        (name_of(page), command)
        for page in pages()
        for command in commands_within_lines(page.read_text(encoding="utf-8"))
    ]
    unknown = refused(found)  # a sentence may name a command without its arguments
    assert {place: says for place, says in unknown.items() if "Missing" not in says} == {}


def test_commands_that_are_not_run_are_known() -> None:
    lines = [
        (block.place, line)
        for block in all_blocks
        if block.is_shell and block.reason is not None
        for line in commands_of(block.text)
        if line.startswith("nasgauge ")
    ]
    assert refused(lines) == {}


# --- the examples of the help texts


def helped(group: typer.Typer = app) -> Iterator[str]:
    """Every example of every help text."""
    for command in group.registered_commands:
        for line in (inspect.getdoc(command.callback) or "").splitlines():
            if line.strip().startswith("nasgauge "):
                yield line.strip()
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        yield from helped(inner.typer_instance)


def test_examples_of_help_texts_are_known() -> None:
    examples = list(helped())
    assert len(examples) > 30
    assert refused([("help", part) for line in examples for part in line.split(" && ")]) == {}


IMAGES = "needs the images of CIFAR-10, which are downloaded"
FILES = "needs files of the benchmark"
HELP_NOT_RUN = {
    "nasgauge search pnas --oracle train": IMAGES,
    "nasgauge search pnas:beam=16": IMAGES,
    "nasgauge train": IMAGES,
    "nasgauge data fetch": FILES,
    "nasgauge data build": FILES,
    "nasgauge data import": FILES,
    "nasgauge score predictors": "fits surrogates for minutes",
    "nasgauge score cells --all": IMAGES,
    "nasgauge score settings": IMAGES,
    "nasgauge score tenas": "two CPU minutes a search",
    "nasgauge bench --searchers random,tenas:searches": "needs the searches of nasgauge score tenas",
}
"""Examples of help texts that are not run, and why."""
HELP_FIRST = """
mkdir -p tests results
cp -rL docs/trained results/trained
echo 'from nasgauge.searchers.local_search import LocalSearch as MySearcher' > my_pkg.py
"""


@pytest.mark.slow
@pytest.mark.torch
def test_examples_of_help_texts_run_in_their_order(tmp_path: Path) -> None:
    examples = list(helped())
    assert not [start for start in HELP_NOT_RUN if not any(line.startswith(start) for line in examples)]
    run = [line for line in examples if not line.startswith(tuple(HELP_NOT_RUN))]
    assert len(run) > 25
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "trained").symlink_to(ROOT / "docs" / "trained")
    texts = [HELP_FIRST, *dict.fromkeys(run)]
    print(run_page([Block("help", place, "bash", text) for place, text in enumerate(texts)], tmp_path))
