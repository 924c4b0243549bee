"""Tables as text: LaTeX with booktabs, Markdown, CSV. A table is a frame and how its columns are written."""

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pandas as pd

from nasgauge.analysis.results.files import save_csv, save_text

MISSING: Final = "–"
MOST_DECIMALS: Final = 2
_LATEX: Final = {
    "&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_", "$": r"\$", "{": r"\{", "}": r"\}", "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--", "±": r"$\pm$", "×": r"$\times$",
    "≥": r"$\geq$", "∞": r"$\infty$", "<": r"$<$", ">": r"$>$", "|": r"$|$",
}  # fmt: skip


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

    @property
    def columns(self) -> list[str]:
        """The printed columns."""
        return list(self.shown or map(str, self.frame.columns))

    def rows(self) -> Iterator[list[str]]:
        """Every row as it is printed."""
        for row in self.frame.to_dict("records"):
            yield [self._text(str(name), row) for name in self.columns]

    def _text(self, name: str, row: Mapping[Hashable, object]) -> str:
        value = row[name]
        if name in self.reasons and value != value and row[self.reasons[name]]:
            return str(row[self.reasons[name]])
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
        head = self.columns
        rule = ["---:" if right else "---" for right in self.numeric]
        escaped = [[text.replace("|", r"\|") for text in row] for row in self.rows()]
        lines = [f"| {' | '.join(row)} |" for row in (head, rule, *escaped)]
        return "\n".join([f"**{self.title}**", "", *lines, *(["", self.note] if self.note else []), ""])

    @property
    def latex(self) -> str:
        """A table for `booktabs`; the note is part of the caption."""
        head = " & ".join(latex(name) for name in self.columns)
        rows = [" & ".join(latex(text) for text in row) + r" \\" for row in self.rows()]
        caption = f"{self.title}. {self.note}" if self.note else f"{self.title}."
        return "\n".join(
            [
                r"\begin{table}",
                r"  \centering",
                rf"  \caption{{{latex(caption)}}}",
                rf"  \begin{{tabular}}{{{''.join('r' if right else 'l' for right in self.numeric)}}}",
                r"    \toprule",
                rf"    {head} \\",
                r"    \midrule",
                *(f"    {row}" for row in rows),
                r"    \bottomrule",
                r"  \end{tabular}",
                r"\end{table}",
                "",
            ]
        )

    def save(self, folder: Path) -> list[Path]:
        """Write `name.csv`, `.md` and `.tex`."""
        csv, markdown, tex = (folder / f"{self.name}.{kind}" for kind in ("csv", "md", "tex"))
        save_csv(csv, self.frame)
        save_text(markdown, self.markdown)
        save_text(tex, self.latex)
        return [csv, markdown, tex]


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
        return str(value)
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
    """Text that LaTeX prints as it is.

    >>> print(latex("50 % of a_b"))
    50 \\% of a\\_b
    """
    return "".join(_LATEX.get(character, character) for character in text)
