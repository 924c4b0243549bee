"""For mkdocs: the reference of the command line, made from the commands themselves."""

import re
from collections.abc import Iterator
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from nasgauge.cli import app

PAGE = "reference/commands.md"
_INTRO = """# Command line

Made from the commands of the installed version; `nasgauge COMMAND --help` shows the same in a terminal. Every command ends
with exit code 0, or 2 and one line on standard error for input that cannot be used. `check` and `gate` end with 1 if something
is broken or worse, and `bench` and `search` if a searcher failed.
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page."""
    files.append(File.generated(config, PAGE, content=reference()))
    return files


def reference() -> str:
    """The page in Markdown."""
    root: Any = typer.main.get_command(app)
    return "\n".join([_INTRO, *(part for name, found in commands(root) for part in _section(name, found))])


def commands(group: Any, prefix: str = "nasgauge") -> Iterator[tuple[str, Any]]:
    """Every command by its full name, groups before their commands, in order of names.

    >>> from typer.main import get_command
    >>> dict(commands(get_command(app)))["nasgauge data info"].name
    'info'
    """
    for name, command in sorted(group.commands.items()):
        yield f"{prefix} {name}", command
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix} {name}")


def _section(name: str, command: Any) -> Iterator[str]:
    yield f"## {name}\n" if name.count(" ") == 1 else f"### {name}\n"
    yield f"{_prose(command.help or '')}\n"
    if hasattr(command, "commands"):
        return
    context = command.make_context(name, [], resilient_parsing=True)
    yield f"Usage: `{name} {' '.join(command.collect_usage_pieces(context))}`\n"
    for kind in ("argument", "option"):
        several = [one for one in command.params if one.param_type_name == kind and one.name != "help"]
        if several:
            yield f"| {kind} | meaning | default |\n|---|---|---|"
            yield from (_row(*one.get_help_record(context)) for one in several)
            yield ""


def _row(names: str, meaning: str) -> str:
    text, _, notes = meaning.partition("  [")
    kept, default = [], ""
    for note in filter(None, notes.strip("[]").split("; ")):
        if note.startswith("default: "):
            value = note.removeprefix("default: ")
            default = value[1:-1] if value.startswith("(") else f"`{value}`"
        else:
            kept.append(note)
    shown = f"{text} ({'; '.join(kept)})" if kept else text
    return f"| `{names}` | {_cell(shown)} | {_cell(default)} |"


def _cell(text: str) -> str:
    """Text of a cell of a Markdown table.

    >>> print(_cell("NAS-Bench-201-v1_*.pth or NATS-tss-v1_0-*simple"))
    NAS-Bench-201-v1_\\*.pth or NATS-tss-v1_0-\\*simple
    """
    return " ".join(re.sub(r"([|*])", r"\\\1", _plain(text)).split())


def _plain(text: str) -> str:
    """Without the escapes and the marks of rich."""
    return re.sub(r"\\\[", "[", re.sub(r"\[/?(?:bold|dim|italic|b|i)\]", "", text)).replace("\b", "")


def _prose(text: str) -> str:
    """Help as Markdown: commands, which stand indented, as code."""
    blocks, code = [], False
    for block in re.split(r"\n\s*\n", _plain(text).strip()):
        line = block.strip()
        code = bool(re.match(r"(nasgauge|torchrun|pytest|pip) ", line))
        blocks.append("    " + " ".join(line.split()) if code else " ".join(line.split()).replace("|", "\\|"))
    return "\n\n".join(blocks)
