"""Tables as text: LaTeX with booktabs, Markdown, CSV. A table is a frame and how its columns are written."""

import math
import re
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pandas as pd

from nasgauge.analysis.results.files import save_csv, save_text
from nasgauge.analysis.results.names import dataset_name, printable

MISSING: Final = "–"
MOST_DECIMALS: Final = 2
_LATEX: Final = {
    "&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_", "$": r"\$", "{": r"\{", "}": r"\}", "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--", "±": r"$\pm$", "×": r"$\times$", "†": r"$\dagger$",
    "≥": r"$\geq$", "≤": r"$\leq$", "∞": r"$\infty$", "<": r"$<$", ">": r"$>$", "|": r"$|$", "[": "{[}", "]": "{]}", "*": "{*}",
    "…": r"\ldots{}", "→": r"$\to$", "τ": r"$\tau$", "κ": r"$\kappa$", '"': "''", "`": r"\textasciigrave{}",
}  # fmt: skip
_NAMING: Final = ("searcher", "against", "method")
"""Columns that name a searcher."""
_MARKDOWN: Final = re.compile(r"([\\`*\[\]|]|<(?=[A-Za-z/!?]))")


@dataclass(frozen=True)
class Table:
    """A frame and how it is printed; the CSV file has every column and digit."""

    name: str
    """Of its files."""
    title: str
    frame: pd.DataFrame
    digits: Mapping[str, int] = field(default_factory=dict)
    """Decimals of a column of numbers, -1 for a p value; 2 by default."""
    note: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)
    """Columns whose decimals follow the standard error in another column of the row, up to their `digits`."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Columns that print the text in another column where they are NaN."""
    shown: Sequence[str] = ()
    """The columns that are printed; empty: all."""
    bounds: Mapping[str, str] = field(default_factory=dict)
    """Columns that print `>` and the number in another column where they are infinite."""
    bold: Collection[tuple[int, str]] = ()
    """Row, from 0, and column of the cells in bold."""
    ruled: Collection[int] = ()
    """Rows, from 0, above which LaTeX draws a line."""
    caption: str = ""
    """For LaTeX: without one there is no `.tex` file."""

    @property
    def kinds(self) -> list[str]:
        """Suffixes of its files."""
        return ["csv", "md", *(["tex"] if self.caption else [])]

    @property
    def columns(self) -> list[str]:
        """The printed columns."""
        return list(self.shown or map(str, self.frame.columns))

    def rows(self) -> Iterator[list[str]]:
        """Every row as it is printed."""
        for row in self.frame.to_dict("records"):
            yield [self._text(str(name), row) for name in self.columns]

    @property
    def files(self) -> list[str]:
        """Names of its files."""
        return [f"{self.name}.{kind}" for kind in self.kinds]

    def searchers_of(self, row: int, searchers: Collection[str]) -> list[str]:
        """The searchers that a row, from 0, is about."""
        found = self.frame.iloc[row]
        named = [str(found[name]) for name in _NAMING if name in self.frame]
        return [name for name in named if name in searchers]

    def _text(self, name: str, row: Mapping[Hashable, object]) -> str:
        value = row[name]
        if name == "dataset":
            return dataset_name(str(value))
        if name in self.reasons and value != value and row[self.reasons[name]]:
            return printable(str(row[self.reasons[name]]))
        if name in self.bounds and value == math.inf:
            bound = row[self.bounds[name]]
            return f">{cell_text(bound, self.digits.get(name, MOST_DECIMALS))}"
        if name in self.errors:
            error = float(str(row[self.errors[name]]))
            return cell_text(value, decimals(error, self.digits.get(name, MOST_DECIMALS)))
        return cell_text(value, self.digits.get(name, MOST_DECIMALS))

    @property
    def numeric(self) -> list[bool]:
        """Which printed columns are numbers, to be set flush right."""
        return [pd.api.types.is_numeric_dtype(self.frame[name]) for name in self.columns]

    @property
    def markdown(self) -> str:
        """A GitHub table, the title above and the note below."""
        head = [_markdown(name) for name in self.columns]
        rule = ["---:" if right else "---" for right in self.numeric]
        rows = [[f"**{text}**" if bold else text for text, bold in row] for row in self._marked(_markdown)]
        lines = [f"| {' | '.join(row)} |" for row in (head, rule, *rows)]
        title, note = _markdown(self.title), _markdown(self.note)
        return "\n".join([f"**{title}**", "", *lines, *(["", note] if note else []), ""])

    @property
    def latex(self) -> str:
        """A table that compiles with `booktabs` alone, with the label `tab:NAME`."""
        head = " & ".join(latex(name) for name in self.columns)
        rows = [
            " & ".join(rf"\textbf{{{text}}}" if bold else text for text, bold in row)
            for row in self._marked(latex)
        ]
        lines = [rf"    {row} \\" for row in rows]
        for place in sorted(self.ruled, reverse=True):
            lines.insert(place, r"    \midrule")
        return "\n".join(
            [
                r"\begin{table}",
                r"  \centering",
                rf"  \caption{{{latex(self.caption or self.title)}}}",
                rf"  \label{{tab:{self.name}}}",
                rf"  \begin{{tabular}}{{{''.join('r' if right else 'l' for right in self.numeric)}}}",
                r"    \toprule",
                rf"    {head} \\",
                r"    \midrule",
                *lines,
                r"    \bottomrule",
                r"  \end{tabular}",
                r"\end{table}",
                "",
            ]
        )

    def _marked(self, escape: Callable[[str], str]) -> Iterator[list[tuple[str, bool]]]:
        """Every row's escaped texts, and whether they are bold."""
        for place, row in enumerate(self.rows()):
            yield [
                (escape(text), (place, name) in self.bold)
                for name, text in zip(self.columns, row, strict=True)
            ]

    def save(self, folder: Path) -> list[Path]:
        """Write `name.csv`, `.md` and, with a caption, `.tex`."""
        files = [folder / name for name in self.files]
        save_csv(files[0], self.frame)
        for path, text in zip(files[1:], (self.markdown, self.latex if self.caption else ""), strict=False):
            save_text(path, text)
        return files


def cell_text(value: object, digits: int = 2) -> str:
    """One value as it is printed, never with a negative zero.

    >>> cell_text(93.8), cell_text(float("nan")), cell_text(0.00004, -1), cell_text(7), cell_text(12345.6, 0)
    ('93.80', '–', '<0.001', '7', '12,346')
    >>> cell_text(-0.001)
    '0.00'
    """
    if value is None or value is pd.NA or (isinstance(value, float) and value != value):
        return MISSING
    if not isinstance(value, float):
        return printable(str(value))
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if digits < 0:
        return "<0.001" if value < 0.001 else f"{value:.3f}"
    return f"{value:z,.{digits}f}"


def decimals(error: float, most: int = MOST_DECIMALS) -> int:
    """Decimals of a figure with this standard error: the last one is of its size; `most` where it is unknown.

    >>> decimals(0.04), decimals(0.3), decimals(2.0), decimals(0.0), decimals(float("nan"))
    (2, 1, 0, 2, 2)
    """
    if not error > 0 or math.isinf(error):
        return most
    return min(max(-math.floor(math.log10(error)), 0), most)


def latex(text: str) -> str:
    """Text that LaTeX prints as it is, except for characters that its fonts lack.

    >>> print(latex("50 % of a_b"))
    50 \\% of a\\_b
    """
    return "".join(_LATEX.get(character, character) for character in printable(text))


def _markdown(text: str) -> str:
    """Text that Markdown prints as it is.

    >>> print(_markdown("<b>|a*"))
    \\<b>\\|a\\*
    """
    return _MARKDOWN.sub(r"\\\1", printable(text))
