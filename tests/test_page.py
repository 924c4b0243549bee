"""The page in a real browser: opened from disk, no network, no error, everything drawn, a table sorted."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nasgauge.analysis.report.page import Chart, Page, Section, as_json, render
from nasgauge.analysis.report.report import report
from nasgauge.analysis.results.tables import Table

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WIDE, NARROW = 1300, 390


@pytest.fixture(scope="module")
def page_path(campaign_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page") / "out"
    shutil.copytree(campaign_folder, folder)
    return report(folder, figures=False).page


def test_the_page_is_one_file_that_asks_for_nothing(page_path: Path) -> None:
    text = page_path.read_text()
    assert len(text.encode()) < 6e6
    body = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert not re.findall(r'(?:src|href)="https?:', body)
    assert all((page_path.parent / name).is_file() for name in re.findall(r'<a href="([^"#]+)"', body))
    assert text.count("plotly.js v") == 1, "the script is bundled once"


def test_texts_of_others_are_escaped() -> None:
    table = Table("t", "<b>", pd.DataFrame({"x": ["<script>alert(1)</script>"]}))
    section = Section(
        "s", "S", tables=[table], charts=[Chart("c", "heat", "</script>", "", {"x": ["</script>"]})]
    )
    page = Page("<i>", "", [], [], [], [], ["<img src=x>"], [section], [])
    text = render(page)
    assert "<img src=x>" not in text
    assert "<script>alert(1)" not in text
    assert '"x":["\\u003c/script>"]' in text


def test_numbers_keep_six_digits_and_what_is_not_a_number_is_null() -> None:
    assert json.loads(as_json({"a": [1 / 3, float("inf"), np.float64(2)], 1: (True, None)})) == {
        "a": [0.333333, None, 2],
        "1": [True, None],
    }


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="the browser test needs playwright")
    if CHROMIUM is None:
        pytest.skip("the browser test needs chromium: apt-get install chromium")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


def visit(browser: Any, path: Path, width: int, scheme: str) -> tuple[Any, list[str]]:
    tab = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True
    ).new_page()
    said: list[str] = []
    tab.on(
        "console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None
    )
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.goto(path.as_uri())
    tab.wait_for_function(
        "[...document.querySelectorAll('.chart')].every((e) => e.querySelector('.main-svg'))", timeout=20_000
    )
    return tab, said


@pytest.mark.parametrize(("width", "scheme"), [(WIDE, "light"), (NARROW, "dark")])
def test_every_figure_is_drawn_without_a_word_on_the_console(
    browser: Any, page_path: Path, tmp_path: Path, width: int, scheme: str
) -> None:
    tab, said = visit(browser, page_path, width, scheme)
    assert said == []
    lines = tab.evaluate(
        "Object.fromEntries([...document.querySelectorAll('.chart')].map("
        "(e) => [e.id, e.querySelectorAll('.scatterlayer .js-line, .bars .point, .hm image, .points path').length]))"
    )
    assert lines
    assert all(lines.values()), f"empty figures: {lines}"
    assert tab.evaluate("document.documentElement.scrollWidth") <= width, "the page is wider than the screen"
    assert tab.evaluate("document.documentElement.dataset.theme") == scheme
    picture = tab.screenshot(path=tmp_path / "page.png", full_page=True)
    assert len(picture) > 50_000


def test_a_table_is_sorted_by_a_click_and_turned_by_another(browser: Any, page_path: Path) -> None:
    tab, _ = visit(browser, page_path, WIDE, "light")
    column = (
        "[...document.querySelectorAll('#table-final tbody tr')].map((r) => Number(r.cells[3].textContent))"
    )
    head = tab.locator("#table-final th button", has_text=re.compile("^mean$"))
    head.click()
    first = tab.evaluate(column)
    assert first == sorted(first)
    head.click()
    assert tab.evaluate(column) == sorted(first, reverse=True)
    assert tab.locator("#table-final th[aria-sort=descending]").count() == 1


def test_clock_measure_theme_and_cells_answer_the_reader(browser: Any, page_path: Path) -> None:
    tab, said = visit(browser, page_path, NARROW, "light")
    title = "document.querySelector('#efficiency-toy .{}title').textContent"
    assert tab.evaluate(title.format("x")) == "queries"
    tab.select_option("#clock", "overhead")
    tab.select_option("#measure", "regret")
    assert tab.evaluate(title.format("x")) == "measured seconds of the searcher"
    assert tab.evaluate(title.format("y")) == "regret, percentage points"
    tab.click("#theme")
    assert tab.evaluate("document.documentElement.dataset.theme") == "dark"
    tab.locator("td.has-cell").first.hover()
    assert tab.locator("#hover svg path").count() > 0
    assert said == []
