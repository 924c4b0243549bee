"""What a page of Markdown asks the reader to run: its blocks, and the commands within its lines.

A block is run, unless a comment `<!-- not run: REASON -->` stands before it. What a reader has and a test has not, such as
results, is made by a comment `<!-- run first: COMMANDS -->`. A block with `title="FILE"` is written to that file, and not
run. A block without a language is shell; one that is no command is `text`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[1]
SHELL = ("", "bash", "sh", "shell")
SHOWN = ("text", "yaml", "toml", "json", "latex", "tex", "bibtex", "sql", "mermaid", "diff", "csv", "html")
NOT_RUN = re.compile(r"<!--\s*not run\b:?\s*(.*?)\s*-->", re.DOTALL)
RUN_FIRST = re.compile(r"<!--\s*run first:\s*(.*?)\s*-->", re.DOTALL)
FILE = re.compile(r'title="([^"]+)"')
CONTAINER = re.compile(
    r"(!!!|\?\?\?\+?|===\+?)\s"
)  # admonitions and tabs of mkdocs, whose contents are indented


@dataclass(frozen=True)
class Block:
    """A block of a page."""

    page: str
    line: int
    language: str
    text: str
    file: str = ""
    """Where the reader saves it."""
    reason: str | None = None
    """Why it is not run; empty if a mark gives none."""

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def is_shell(self) -> bool:
        return self.language in SHELL

    @property
    def is_run(self) -> bool:
        return self.reason is None and (self.is_shell or self.language == "python")


def pages() -> list[Path]:
    """Every page whose commands are run."""
    found = [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("examples/**/*.md"),
    ]
    return sorted(found)


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: str, text: str, first: int = 0) -> Iterator[Block]:
    """The blocks of a page in their order.

    >>> text = "A:\\n\\n    nasgauge bench\\n\\n<!-- not run: an hour -->\\n```python\\nwait()\\n```\\n"
    >>> for block in blocks("page.md", text):
    ...     print(block.line, block.text.strip(), block.reason)
    3 nasgauge bench None
    7 wait() an hour
    """
    reason, container = None, False
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "html_block":
            mark = NOT_RUN.search(token.content)
            reason = mark[1] if mark else reason
            if before := RUN_FIRST.search(token.content):
                assert token.map is not None
                yield Block(page, first + token.map[0] + 1, "bash", before[1])
        elif token.type == "code_block" and container:
            assert token.map is not None
            yield from blocks(page, token.content, first + token.map[0])
            reason = None
        elif token.type in ("fence", "code_block"):
            yield _block(page, token, reason, first)
            reason = None
        elif token.type == "inline":
            reason = None
            container = bool(CONTAINER.match(token.content))


def _block(page: str, token: Token, reason: str | None, first: int) -> Block:
    assert token.map is not None
    language = token.info.strip().partition(" ")[0]
    file = FILE.search(token.info)
    line = first + token.map[0] + (2 if token.type == "fence" else 1)
    return Block(page, line, language, token.content, file[1] if file else "", reason)


def commands_within_lines(text: str) -> Iterator[str]:
    """The commands of nasgauge that stand in a sentence or a table.

    >>> list(commands_within_lines("Use `nasgauge bench`,\\n\\n    not this\\n\\nnever `rm`."))
    ['nasgauge bench']
    """
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        for child in token.children or ():
            if child.type == "code_inline" and child.content.startswith("nasgauge "):
                yield child.content


def commands_of(block: str) -> list[str]:
    """The commands of a shell block, one a line after joining lines that end with a backslash.

    >>> commands_of("nasgauge bench \\\\\\n  --seeds 2\\n# then\\n\\nls")
    ['nasgauge bench    --seeds 2', 'ls']
    """
    lines = block.replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
