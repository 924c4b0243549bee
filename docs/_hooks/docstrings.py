"""For mkdocstrings: docstrings as its parser of NumPy's style reads them."""

import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"^>>> .*(?:\n.+)*", re.MULTILINE)
_TOGETHER = re.compile(r"^(\w+(?:, \w+)+)\n((?: {4}.*\n)+)", re.MULTILINE)


def prepared(text: str) -> str:
    """A docstring whose examples outside a section `Examples` are fenced, and with an entry for each parameter.

    >>> prepared("One.\\n\\n>>> 1 + 1\\n2").splitlines()
    ['One.', '', '```pycon', '>>> 1 + 1', '2', '```']
    >>> print(prepared("Parameters\\n----------\\na, b\\n    Numbers.\\n"))
    Parameters
    ----------
    a
        Numbers.
    b
        Numbers.
    <BLANKLINE>
    """
    before, heading, section = text.partition("\nExamples\n--------\n")
    before = _TOGETHER.sub(
        lambda found: "".join(f"{name}\n{found[2]}" for name in found[1].split(", ")), before
    )
    return _EXAMPLE.sub(lambda found: f"```pycon\n{found[0]}\n```", before) + heading + section


class Docstrings(griffe.Extension):
    """Prepare every docstring."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called by griffe for each object that it has read."""
        if obj.docstring:
            obj.docstring.value = prepared(obj.docstring.value)
