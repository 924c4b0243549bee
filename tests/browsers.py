"""A real browser for tests of pages, and what is looked for on them."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def chromium() -> Iterator[Any]:
    """Chromium, for a fixture; the test is skipped where it or playwright is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="the browser test needs playwright")
    if CHROMIUM is None:
        pytest.skip("the browser test needs chromium: apt-get install chromium")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


CONTRAST = """() => {
  const channel = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const bright = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const parse = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const over = ([r, g, b, a = 1], below) => [r, g, b].map((v, i) => v * a + below[i] * (1 - a));
  const paper = (e) => {
    if (!e) return [255, 255, 255];
    const c = parse(getComputedStyle(e).backgroundColor);
    return c.length === 4 && c[3] < 1 ? over(c, paper(e.parentElement)) : c;
  };
  const text = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  const low = [];
  for (const e of document.querySelectorAll("body *")) {
    if (!e.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    if (e.closest("svg, .chart, dialog, .skip, script, style") || !text(e)) continue;
    const below = paper(e);
    const [a, b] = [bright(over(parse(getComputedStyle(e).color), below)), bright(below)].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) low.push(`${e.tagName}.${e.className}: ${e.textContent.slice(0, 30)}`);
  }
  return [...new Set(low)];
}"""
"""Texts whose contrast with their background is below 4.5, the least of WCAG 2.2 for text (1.4.3)."""
