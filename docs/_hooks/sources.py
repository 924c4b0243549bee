"""For mkdocs: where the sources of the package are, and pages that stand outside `docs/`."""

import re
import tempfile
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

FOLDERS = ("analysis", "data", "harness", "searchers", "spaces")
"""Folders of the repository that are installed as parts of `nasgauge`."""
OUTSIDE = {"CHANGELOG.md": "reference/changelog.md", "CONTRIBUTING.md": "reference/contributing.md"}
"""Pages that stand at the top of the repository, and where they are on the site."""

_links: list[tempfile.TemporaryDirectory[str]] = []


@event_priority(100)  # before mkdocstrings reads its settings
def on_config(config: MkDocsConfig) -> None:
    """Show mkdocstrings the package as a wheel has it, by links into the checkout."""
    root = Path(config.config_file_path).parent
    _links.append(tempfile.TemporaryDirectory(prefix="nasgauge-sources-"))
    package = Path(_links[-1].name) / "nasgauge"
    package.mkdir()
    for path in [*(root / "nasgauge").iterdir(), *(root / folder for folder in FOLDERS)]:
        (package / path.name).symlink_to(path)
    plugin: Any = config.plugins["mkdocstrings"]
    plugin.config.handlers["python"]["paths"] = [str(package.parent)]


def on_post_build(config: MkDocsConfig) -> None:  # noqa: ARG001 - of mkdocs
    """Remove the links."""
    while _links:
        _links.pop().cleanup()


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that stand at the top of the repository."""
    root = Path(config.config_file_path).parent
    for name, place in OUTSIDE.items():
        text = (root / name).read_text(encoding="utf-8")
        files.append(File.generated(config, place, content=text.replace("](docs/", "](../")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Turn links to pages outside `docs/` into links to their places on the site."""
    up = "../" * page.file.src_uri.count("/")
    for name, place in OUTSIDE.items():
        markdown = re.sub(rf"\]\((?:\.\./)+{re.escape(name)}", f"]({up}{place}", markdown)
    return markdown
