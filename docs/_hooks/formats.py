"""For mkdocs: the fields of files as tables and JSON schemas, made from the classes that read and write them.

In a page, `<!-- fields: module:Class -->` becomes a table with a row for each field: its type, its default and the text
below it in the source. For a pydantic model there is a file `reference/schemas/NAME.json` too.
"""

import ast
import inspect
import json
import re
import textwrap
from importlib import import_module
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pydantic import BaseModel

_MARK = re.compile(r"<!-- fields: ([\w.]+):(\w+) -->")
PAGE = "reference/files.md"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a JSON schema for each pydantic model that the page names."""
    page = files.get_file_from_path(PAGE)
    assert page is not None, f"{PAGE} is missing"
    for module, name in _MARK.findall(page.content_string):
        if is_model(found := _class(module, name)):
            text = json.dumps(schema(found), indent=2) + "\n"
            files.append(File.generated(config, _place(module, name), content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Put the tables in."""
    return _MARK.sub(lambda mark: table(mark[1], mark[2]), markdown)


def table(module: str, name: str) -> str:
    """The fields of a class in Markdown.

    >>> print(table("nasgauge.harness.records.results", "TrainingSettings").splitlines()[4])
    | `seed` | int | `777` | Seed of the trainings. |
    """
    found = _class(module, name)
    about = descriptions(found)
    lines = ["| field | type | default | meaning |", "|---|---|---|---|"]
    for field, kind, default in _fields(found):
        text = _plain(about.get(field, ""))
        lines.append(f"| `{field}` | {_plain(kind)} | {default} | {text} |")
    if is_model(found):
        lines += ["", f"JSON schema: [{_file(module, name)}](schemas/{_file(module, name)})"]
    return "\n".join(lines)


def schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a model, with the texts below its fields as descriptions."""
    found = model.model_json_schema()
    about = descriptions(model)
    for field, value in found["properties"].items():
        if field in about:
            value["description"] = about[field]
    return found


def descriptions(found: type) -> dict[str, str]:
    """The text below each field in the source of a class."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(found))).body
    assert isinstance(body, ast.ClassDef)
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in zip(body.body, body.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def is_model(found: type) -> bool:
    """Whether it is a pydantic model."""
    return issubclass(found, BaseModel)


def _fields(found: type) -> list[tuple[str, str, str]]:
    if issubclass(found, BaseModel):
        return [
            (name, _type(field.annotation), "" if field.is_required() else f"`{_default(field.default)}`")
            for name, field in found.model_fields.items()
        ]
    hints = inspect.get_annotations(found)
    return [(name, _type(hint), "") for name, hint in hints.items() if not name.startswith("_")]


def _default(value: object) -> str:
    return '""' if value == "" else str(value)


def _type(hint: Any) -> str:
    text = hint.__name__ if isinstance(hint, type) and not hasattr(hint, "__args__") else str(hint)
    array = re.fullmatch(r"numpy\.ndarray\[.*numpy\.dtype\[numpy\.(\w+)\]\]", text)
    return array[1].rstrip("_") if array else re.sub(r"\b(?:\w+\.)+(\w+)", r"\1", text)


def _plain(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _class(module: str, name: str) -> type:
    found: type = getattr(import_module(module), name)
    return found


def _file(module: str, name: str) -> str:
    return f"{module.split('.')[-1]}-{name}.json".lower()


def _place(module: str, name: str) -> str:
    return f"reference/schemas/{_file(module, name)}"
