"""`nasgauge searchers`, `proxies` and `recipes`: what can be named, and with which options."""

import textwrap
from typing import TYPE_CHECKING, Annotated

import typer

from nasgauge.cli import console

if TYPE_CHECKING:
    from nasgauge.catalogue import Entry


def searchers(
    name: Annotated[
        str, typer.Argument(help="One searcher, by name or as module:Class.", show_default="all")
    ] = "",
) -> None:
    """List searchers: what they do, their options with defaults and meanings, and where they come from.

    Examples:

      nasgauge searchers

      nasgauge searchers pnas
    """
    from nasgauge import catalogue

    for entry in [catalogue.searcher(name)] if name else catalogue.searchers():
        _say(entry)
    if not name:
        console.out().print(
            "Options: nasgauge bench --searchers evolution:population=50:tournament=10. Your own: module:Class.",
            markup=False,
        )


def proxies() -> None:
    """List zero-cost proxies: what they measure, and where they come from.

    Example:

      nasgauge proxies
    """
    from nasgauge import catalogue

    for entry in catalogue.proxies():
        _say(entry)


def recipes() -> None:
    """List training recipes and their hyper-parameters.

    Example:

      nasgauge recipes
    """
    from nasgauge.harness.records.recipes import RECIPES

    for name, recipe in RECIPES.items():
        console.out().print(name, style="bold")
        values = [f"{key} {value}" for key, value in vars(recipe).items() if key != "name"]
        _wrapped(", ".join(values), "  ")


def _say(entry: "Entry") -> None:
    console.out().print(entry.name, style="bold", markup=False)
    _wrapped(entry.about, "  ")
    for option, default in entry.options.items():
        meaning = entry.meanings.get(option, "no meaning is given in its docstring")
        _wrapped(f"{option}={default}  {meaning}", "    ", "        ")
    _wrapped(f"from {entry.source}", "  ")


def _wrapped(text: str, indent: str, hanging: str = "") -> None:
    lines = textwrap.fill(
        text,
        console.out().width,
        initial_indent=indent,
        subsequent_indent=hanging or indent,
        break_long_words=False,
    )
    console.out().print(lines, markup=False)
