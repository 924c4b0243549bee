"""For mkdocs: the notebooks as pages; with `NASGAUGE_RUN_NOTEBOOKS=1` (set by `tox -e docs`) they are run and have outputs."""

import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jupytext
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

FOLDER = "notebooks"
_NOT_RUN = "!!! note\n    This copy of the site was built without running the notebooks: `tox -e docs` shows their outputs.\n"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each notebook."""
    for path in sorted(Path(config.docs_dir, FOLDER).glob("*.py")):
        page = f"{FOLDER}/{path.stem}.md"
        files.append(
            File.generated(
                config, page, content=markdown(path, run=bool(os.environ.get("NASGAUGE_RUN_NOTEBOOKS")))
            )
        )
    return files


def on_page_markdown(markdown: str, page: Any, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - of mkdocs
    """Turn links to the sources of notebooks into links to their pages."""
    return re.sub(rf"\]\(((?:\.\./)*{FOLDER}/[\w-]+)\.py\)", r"](\1.md)", markdown)


def markdown(path: Path, *, run: bool) -> str:
    """A notebook in Markdown.

    Raises `nbclient.exceptions.CellExecutionError` if a cell fails.
    """
    notebook = jupytext.read(path)
    if run:
        import nbclient

        with tempfile.TemporaryDirectory() as folder:
            resources = {"metadata": {"path": folder}}
            nbclient.NotebookClient(
                notebook, timeout=900, kernel_name="python3", resources=resources
            ).execute()
    title, *rest = [part for cell in notebook.cells for part in _parts(cell)]
    return "\n\n".join([title, *([] if run else [_NOT_RUN]), *rest])


def _parts(cell: Any) -> Iterator[str]:
    """A cell, and its outputs."""
    if cell.cell_type == "markdown":
        yield re.sub(r"\]\(([\w-]+)\.py\)", r"](\1.md)", cell.source)
        return
    yield f"```python\n{cell.source}\n```"
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        if "image/png" in data:
            yield f'<img alt="The figure that the cell above draws" src="data:image/png;base64,{data["image/png"].strip()}">'
        elif "text/html" in data:
            yield _table(data["text/html"])
        elif text := output.get("text") or data.get("text/plain", ""):
            yield f"```text\n{text.rstrip()}\n```"


def _table(html: str) -> str:
    """The tables of an output, without pandas' own style, so that they look as the other tables of the site."""
    bare = re.sub(r"<style.*?</style>|<p>\d+ rows.*?</p>", "", html, flags=re.DOTALL)
    bare = re.sub(r'<(table|tr)( border="1"| class="dataframe"| style="[^"]*")+>', r"<\1>", bare)
    return re.sub(r"\n\s*", "\n", bare).strip()
