"""Tables as text: LaTeX with booktabs, Markdown, CSV. A table is a frame and how its columns are written."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pandas as pd

from nasgauge.analysis.results.files import save_csv, save_text

MISSING: Final = "–"
_LATEX: Final = {
    "&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_", "$": r"\$", "{": r"\{", "}": r"\}", "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--", "±": r"$\pm$", "×": r"$\times$",
    "≥": r"$\geq$", "∞": r"$\infty$", "<": r"$<$", ">": r"$>$", "|": r"$|$",
}  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A frame to be read by people."""

    name: str
    """Of its files."""
    title: str
    frame: pd.DataFrame
    digits: Mapping[str, int] = field(default_factory=dict)
    """Decimals of each column of numbers; 2 where nothing is said, -1 for a p value."""
    note: str = ""

    def rows(self) -> Iterator[list[str]]:
        """Every row as it is printed."""
        columns = list(self.frame.columns)
        for row in self.frame.itertuples(index=False):
            yield [
                cell_text(value, self.digits.get(name, 2)) for name, value in zip(columns, row, strict=True)
            ]

    @property
    def numeric(self) -> list[bool]:
        """Which columns are numbers, to be set flush right."""
        return [pd.api.types.is_numeric_dtype(self.frame[name]) for name in self.frame.columns]

    @property
    def markdown(self) -> str:
        """A GitHub table, the title above and the note below."""
        head = [str(name) for name in self.frame.columns]
        rule = ["---:" if right else "---" for right in self.numeric]
        escaped = [[text.replace("|", r"\|") for text in row] for row in self.rows()]
        lines = [f"| {' | '.join(row)} |" for row in (head, rule, *escaped)]
        return "\n".join([f"**{self.title}**", "", *lines, *(["", self.note] if self.note else []), ""])

    @property
    def latex(self) -> str:
        """A table for `booktabs`; the note is part of the caption."""
        head = " & ".join(latex(str(name)) for name in self.frame.columns)
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
    """One value as people read it.

    >>> cell_text(93.8), cell_text(float("nan")), cell_text(0.00004, -1), cell_text(7), cell_text(12345.6, 0)
    ('93.80', '–', '<0.001', '7', '12,346')
    """
    if value is None or value is pd.NA or (isinstance(value, float) and value != value):
        return MISSING
    if not isinstance(value, float):
        return str(value)
    if value in (float("inf"), float("-inf")):
        return "∞"
    if digits < 0:
        return "<0.001" if value < 0.001 else f"{value:.3f}"
    return f"{value:,.{digits}f}"


def latex(text: str) -> str:
    """Text that LaTeX prints as it is.

    >>> print(latex("50 % of a_b"))
    50 \\% of a\\_b
    """
    return "".join(_LATEX.get(character, character) for character in text)
