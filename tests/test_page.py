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
from browsers import CONTRAST, chromium

from nasgauge.analysis.report.page import Chart, Page, Section, as_json, render
from nasgauge.analysis.report.report import report
from nasgauge.analysis.results.tables import Table

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
    yield from chromium()


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


def test_one_click_hides_a_searcher_in_every_figure_and_table(browser: Any, page_path: Path) -> None:
    tab, said = visit(browser, page_path, WIDE, "light")
    rows = "[...document.querySelectorAll('#table-final tbody tr')].filter((r) => !r.hidden).map((r) => r.cells[1].textContent)"
    named = (
        "[...document.querySelectorAll('.chart')].filter((c) => ['efficiency', 'top', 'profile', 'intervals'].includes("
        "c.dataset.kind)).map((c) => c.data.some((t) => t.name === 'local'))"
    )
    assert "local" in tab.evaluate(rows)
    assert all(tab.evaluate(named))
    button = tab.locator("#searchers [data-name=local]")
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert "local" not in tab.evaluate(rows)
    assert not any(tab.evaluate(named))
    assert "2 rows of hidden searchers" in tab.locator("#data-final .more").inner_text()
    assert tab.locator("#shown").inner_text() == "2 of 3"
    against = "[...document.querySelectorAll('#table-comparisons tbody tr')].filter((r) => !r.hidden).map((r) => r.textContent)"
    assert not any("local" in text for text in tab.evaluate(against))
    tab.locator("#searchers .all").click()
    assert all(tab.evaluate(named))
    assert said == []


@pytest.fixture(scope="module")
def long_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 45 rows, and sections to fold."""
    frame = pd.DataFrame({"searcher": [f"s{place:02d}" for place in range(45)], "n": range(45)})
    sections = [
        Section("one", "One", tables=[Table("long", "Long", frame)]),
        Section("two", "Two", intro="text"),
    ]
    page = Page("45 searchers", "", [], [], [], [], [], sections, frame["searcher"].tolist())
    path = tmp_path_factory.mktemp("long") / "report.html"
    path.write_text(render(page))
    return path


def test_a_long_table_says_what_it_leaves_out_and_shows_all(browser: Any, long_page: Path) -> None:
    tab, said = visit(browser, long_page, WIDE, "light")
    shown = "[...document.querySelectorAll('#table-long tbody tr')].filter((r) => !r.hidden).length"
    more = tab.locator("#data-long .more")
    assert tab.evaluate(shown) == 15
    assert "15 of 45 rows" in more.inner_text()
    more.locator("button").focus()
    tab.keyboard.press("Enter")
    assert tab.evaluate(shown) == 45
    assert "45 of 45 rows" in more.inner_text()
    more.locator("button").click()
    assert tab.evaluate(shown) == 15
    head = tab.locator("#table-long th button").first
    head.click()
    head.click()
    assert tab.evaluate("document.querySelector('#table-long tbody tr').cells[0].textContent") == "s44"
    assert tab.evaluate(shown) == 15
    assert said == []


def test_print_shows_every_row_and_section_on_white(browser: Any, long_page: Path) -> None:
    tab, said = visit(browser, long_page, WIDE, "dark")
    tab.locator("#one summary").click()
    assert not tab.locator("#one .fold").evaluate("e => e.open")
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    shown = "[...document.querySelectorAll('#table-long tbody tr')].filter((r) => !r.hidden).length"
    assert tab.evaluate(shown) == 45
    assert tab.locator("#one .fold").evaluate("e => e.open")
    assert tab.evaluate("document.documentElement.dataset.theme") == "light"
    tab.evaluate("dispatchEvent(new Event('afterprint'))")
    assert tab.evaluate(shown) == 15
    assert tab.evaluate("document.documentElement.dataset.theme") == "dark"
    assert not tab.locator("#one .fold").evaluate("e => e.open")
    assert said == []


def test_contents_stay_in_view_and_a_deep_link_opens_a_folded_section(browser: Any, page_path: Path) -> None:
    tab, said = visit(browser, page_path, WIDE, "light")
    tab.evaluate("document.documentElement.style.scrollBehavior = 'auto'")
    tab.locator("#provenance summary").first.click()
    assert not tab.locator("#provenance > .fold").evaluate("e => e.open")
    tab.goto(f"{page_path.as_uri()}#data-runs")
    tab.wait_for_function("document.querySelector('#provenance > .fold').open")
    box = tab.locator("nav").bounding_box()
    assert box is not None
    assert 0 <= box["y"] < 900, "the contents are in view far down the page"
    assert tab.locator("nav a[aria-current]").count() == 1
    targets = tab.evaluate(
        "[...document.querySelectorAll('a[href^=\"#\"]')].map((a) => !!document.querySelector(a.hash))"
    )
    assert all(targets)
    assert said == []


def test_a_figure_is_enlarged_and_escape_closes_it(browser: Any, page_path: Path) -> None:
    tab, said = visit(browser, page_path, WIDE, "light")
    tab.locator("#figure-efficiency-toy .enlarge").focus()
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#large-figure .main-svg")
    large = tab.locator("#large-figure .main-svg").first.bounding_box()
    assert large is not None
    assert large["width"] > 1000
    tab.keyboard.press("Escape")
    assert not tab.locator("#large").evaluate("e => e.open")
    assert said == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_and_what_can_be_clicked_can_be_reached_by_key(
    browser: Any, page_path: Path, scheme: str
) -> None:
    tab, _ = visit(browser, page_path, WIDE, scheme)
    assert tab.evaluate(CONTRAST) == []
    unreached = (
        "[...document.querySelectorAll('button, a, select')].filter("
        "(e) => e.tabIndex < 0 || !(e.textContent.trim() || e.ariaLabel)).length"
    )
    assert tab.evaluate(unreached) == 0
