"""What is printed in a terminal of 80 columns and in a log: nothing is shortened."""

import re
from io import StringIO

import pytest
from rich.console import Console

from nasgauge.cli import console

COLUMNS = ("dataset", "searcher", "n", "mean", "low", "high", "regret", "p", "smoothed")
ROW = (
    "ImageNet16-120",
    "pnas:beam=64:explore=ucb",
    "100",
    "46.26",
    "46.15",
    "46.36",
    "1.05",
    "1.2e-05",
    "46.31",
)


@pytest.fixture
def printed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> StringIO:
    width, terminal = request.param
    text = StringIO()
    shown = Console(file=text, width=width, force_terminal=terminal, soft_wrap=True, color_system=None)
    monkeypatch.setattr(console, "out", lambda: shown)
    return text


def show() -> None:
    console.table(
        "Test accuracy",
        COLUMNS,
        [ROW],
        left=("dataset", "searcher"),
        optional=("smoothed", "low", "high", "regret"),
    )


@pytest.mark.parametrize("printed", [(80, True)], indirect=True)
def test_a_narrow_terminal_has_fewer_columns(printed: StringIO) -> None:
    show()
    text = re.sub("\x1b.*?m", "", printed.getvalue())
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    for column in ("dataset", "searcher", "n", "mean", "p"):
        assert ROW[COLUMNS.index(column)] in text
    assert "not shown in 80 columns: smoothed" in text
    assert "46.31" not in text


@pytest.mark.parametrize("printed", [(80, False), (200, True)], indirect=True)
def test_a_log_and_a_wide_terminal_have_every_column(printed: StringIO) -> None:
    show()
    text = printed.getvalue()
    assert all(cell in text for cell in ROW)
    assert "…" not in text
    assert "not shown" not in text


@pytest.mark.parametrize("printed", [(30, True)], indirect=True)
def test_what_cannot_be_left_out_is_printed_whole(printed: StringIO) -> None:
    show()
    assert ROW[1] in printed.getvalue()
    assert "…" not in printed.getvalue()
