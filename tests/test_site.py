"""The documentation site: it builds without a warning, has everything that it should, and works from disk in a browser."""

import doctest
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from browsers import CONTRAST, chromium
from filelock import FileLock

import nasgauge

ROOT = Path(__file__).resolve().parents[1]
needs_mkdocs = pytest.mark.skipif(
    find_spec("mkdocs") is None or find_spec("mkdocstrings") is None,
    reason="pip install 'nasgauge[docs]' to build the site",
)
LOOKED_AT = ("index", "tutorials/own-searcher", "reference/api")
OUTSIDE = re.compile(r"(?:https?:|mailto:)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; the workers of pytest-xdist share it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "documentation-site"
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            command = [
                sys.executable,
                "-m",
                "mkdocs",
                "build",
                "--strict",
                "-f",
                str(ROOT / "mkdocs.yml"),
                "-d",
                str(folder),
            ]
            environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
            done = subprocess.run(command, capture_output=True, text=True, cwd=base, env=environment)
            assert done.returncode == 0, done.stderr
    return folder


class Addresses(HTMLParser):
    """What a page refers to, what can be referred to on it, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.places |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif "src" in given:
            self.loaded.append(given["src"])
        elif tag == "link" and given.get("rel") != "canonical":
            self.loaded.append(given["href"])


@needs_mkdocs
@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "_hooks").glob("*.py")), ids=lambda path: path.stem)
def test_the_examples_of_a_hook_hold(path: Path) -> None:
    spec = spec_from_file_location(f"hook_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    hook = module_from_spec(spec)
    spec.loader.exec_module(hook)
    assert not doctest.testmod(hook).failed


@needs_mkdocs
def test_no_link_is_broken_and_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    pages = {path.resolve(): Addresses(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    assert len(pages) > 40
    broken = []
    for path, page in pages.items():
        if path.name == "404.html":  # its links are from the root of a server
            continue
        assert not [one for one in page.loaded if OUTSIDE.match(one)], path
        for address in page.links + page.loaded:
            if OUTSIDE.match(address) or address.startswith("data:"):
                continue
            name, _, place = unquote(address).partition("#")
            target = (path.parent / name.partition("?")[0]).resolve() if name else path
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file() or (place and target in pages and place not in pages[target].places):
                broken.append(f"{path.relative_to(site.resolve())}: {address}")
    assert not broken


@needs_mkdocs
def test_every_page_has_a_language_one_title_and_texts_for_its_pictures(site: Path) -> None:
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert '<html lang="en"' in text, path
        assert text.count("<h1") == 1, path
        assert not [tag for tag in re.findall(r"<img [^>]*>", text) if not re.search(r'alt="[^"]+"', tag)], (
            path
        )


def test_links_of_the_sources_lead_to_files() -> None:
    sources = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    broken = [
        f"{path.relative_to(ROOT)}: {address}"
        for path in sources
        for address in re.findall(r"\]\(([^)\s#]+)[^)]*\)", path.read_text(encoding="utf-8"))
        if not OUTSIDE.match(address) and not (path.parent / address).exists()
    ]
    assert not broken


def test_every_term_of_the_report_page_is_in_the_glossary() -> None:
    from nasgauge.analysis.report.glossary import GLOSSARY

    terms = re.findall(
        r"^## (.+)$", (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert terms == sorted(terms, key=str.lower)
    assert {term.lower() for term in GLOSSARY} <= {term.lower() for term in terms}


@needs_mkdocs
def test_every_public_name_is_in_the_reference(site: Path) -> None:
    places = Addresses((site / "reference" / "api.html").read_text(encoding="utf-8")).places
    assert {f"nasgauge.{name}" for name in nasgauge.__all__} <= places


@needs_mkdocs
def test_every_command_and_option_is_in_the_reference(site: Path) -> None:
    from typer.main import get_command

    from nasgauge.cli import app

    text = (site / "reference" / "commands.html").read_text(encoding="utf-8")
    places = Addresses(text).places

    def missing(command: Any, name: str) -> Iterator[str]:
        if name.replace(" ", "-") not in places:
            yield name
        for part, below in getattr(command, "commands", {}).items():
            yield from missing(below, f"{name} {part}")
        for option in command.params if not hasattr(command, "commands") else ():
            if option.param_type_name == "option" and not any(one in text for one in option.opts):
                yield f"{name} {option.opts}"

    root: Any = get_command(app)
    found = [one for name, command in root.commands.items() for one in missing(command, f"nasgauge {name}")]
    assert not found


@needs_mkdocs
def test_the_page_of_files_has_every_column_and_schema(site: Path, campaign_folder: Path) -> None:
    import pyarrow.parquet as pq

    text = (site / "reference" / "files.html").read_text(encoding="utf-8")
    assert "fields:" not in text
    assert "<td></td>\n</tr>" not in text, "a field without a meaning"
    unit = next((campaign_folder / "results").glob("*.parquet"), None) or next(
        campaign_folder.glob("*.parquet")
    )
    columns = pq.read_schema(unit).names + pq.read_schema(unit.parent / "measured" / unit.name).names
    assert not [name for name in columns if f"<code>{name}</code>" not in text]
    settings = json.loads((unit.parent / "campaign.json").read_bytes())
    schema = json.loads((site / "reference" / "schemas" / "results-settings.json").read_bytes())
    optional = {"curves_sha256"}  # left out where there are no curves
    assert set(settings) - {"sha256"} | optional == set(schema["properties"])
    assert "seeds" in schema["properties"]["seeds"]["description"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    yield from chromium()


def visit(browser: Any, page: Path, width: int, scheme: str) -> tuple[Any, list[str]]:
    """A page opened from disk without a network, and what went wrong on it."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
    tab = context.new_page()
    wrong: list[str] = []
    tab.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("request", lambda asked: wrong.append(asked.url) if asked.url.startswith("http") else None)
    tab.goto(page.as_uri())
    return tab, wrong


@needs_mkdocs
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 800, 390])
def test_pages_work_from_disk_fit_the_screen_and_can_be_read(
    site: Path, browser: Any, width: int, scheme: str
) -> None:
    for name in LOOKED_AT:
        tab, wrong = visit(browser, site / f"{name}.html", width, scheme)
        assert (
            tab.evaluate("document.body.dataset.mdColorScheme")
            == {"light": "default", "dark": "slate"}[scheme]
        )
        assert tab.evaluate("document.documentElement.scrollWidth") <= width, (
            f"{name} is wider than the screen"
        )
        assert tab.evaluate(CONTRAST) == [], name
        assert not wrong
        tab.context.close()


@needs_mkdocs
def test_what_can_be_clicked_has_a_name_and_can_be_reached_by_key(site: Path, browser: Any) -> None:
    tab, _ = visit(browser, site / "reference/api.html", 1400, "light")
    unreached = (
        "[...document.querySelectorAll('a[href], button:not([type=reset]), input, select')].filter((e) => e.checkVisibility() &&"
        " (e.tabIndex < 0 || !(e.textContent.trim() || e.ariaLabel || e.title || e.labels?.length))).map((e) => e.outerHTML)"
    )
    assert tab.evaluate(unreached) == []
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent.trim()") == "Skip to content"
    tab.keyboard.press("Enter")
    assert tab.evaluate("location.hash") != ""


@needs_mkdocs
def test_the_search_works_from_disk(site: Path, browser: Any) -> None:
    tab, wrong = visit(browser, site / "limitations.html", 1400, "light")
    tab.keyboard.press("/")
    tab.keyboard.type("regret")
    link = tab.locator(".md-search-result__link[href*='#regret']").first
    link.wait_for(timeout=10_000)
    link.click()
    tab.wait_for_url("**/glossary.html**")
    assert not wrong
