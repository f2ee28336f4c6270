"""The report in a real browser: quiet, asking nothing of anyone, fit for a phone, for the dark, for keyboards and for paper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

DESKTOP, PHONE = 1280, 390


class Opened:
    """A page with what it did while it was opened."""

    def __init__(self, browser: Browser, path: Path, width: int, **settings: Any) -> None:
        self.context = browser.new_context(viewport={"width": width, "height": 900}, **settings)
        self.page: Page = self.context.new_page()
        self.said: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())
        self.page.evaluate("document.querySelectorAll('img').forEach(image => { image.loading = 'eager' })")
        self.page.wait_for_function("[...document.images].every(image => image.complete)")


@pytest.fixture(params=[DESKTOP, PHONE])
def opened(request: pytest.FixtureRequest, browser: Browser, report_page: Path) -> Iterator[Opened]:
    found = Opened(browser, report_page, request.param)
    yield found
    found.context.close()


def test_it_is_quiet_and_asks_nothing_of_anyone(opened: Opened, report_page: Path) -> None:
    assert opened.said == []
    assert {url for url in opened.requests if not url.startswith("data:")} == {report_page.as_uri()}


def test_nothing_sticks_out_sideways(opened: Opened) -> None:
    opened.page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true })")
    width = opened.page.viewport_size["width"] if opened.page.viewport_size else 0
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    wide = opened.page.evaluate(
        """width => [...document.querySelectorAll('main *, header *')].filter(element => !element.closest('.scroll')
             && element.getBoundingClientRect().right > width + 1).map(element => element.outerHTML.slice(0, 80))""",
        width,
    )
    assert wide == []


def test_every_picture_is_drawn_and_figures_have_legible_text(opened: Opened) -> None:
    broken = opened.page.evaluate("[...document.images].filter(image => image.naturalWidth === 0).length")
    assert broken == 0
    opened.page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true })")
    heights = opened.page.evaluate(
        "[...document.querySelectorAll('svg.figure text')].map(text => parseFloat(getComputedStyle(text).fontSize) "
        "* text.ownerSVGElement.getBoundingClientRect().width / text.ownerSVGElement.viewBox.baseVal.width)"
    )
    assert heights
    assert min(heights) >= 8.5


def test_the_first_sentence_is_on_the_first_screen(opened: Opened) -> None:
    bottom = opened.page.evaluate("document.querySelector('.lead').getBoundingClientRect().bottom")
    assert bottom < 900


def test_text_of_figures_stays_inside_them(opened: Opened) -> None:
    outside = opened.page.evaluate(
        """[...document.querySelectorAll('svg.figure text')].filter(text => {
             const box = text.getBoundingClientRect(), frame = text.ownerSVGElement.getBoundingClientRect()
             return box.width && (box.right > frame.right + 3 || box.left < frame.left - 3 || box.bottom > frame.bottom + 3)
           }).map(text => text.textContent)"""
    )
    assert outside == []


def test_the_keyboard_reaches_links_folds_and_wide_tables(opened: Opened) -> None:
    reached = []
    for _ in range(12):
        opened.page.keyboard.press("Tab")
        reached.append(opened.page.evaluate("document.activeElement.tagName + '.' + document.activeElement.className"))
    assert reached[0] == "A.skip"
    assert any(name.startswith("DIV.scroll") for name in reached)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_told_from_paper(browser: Browser, report_page: Path, scheme: Any) -> None:
    """WCAG contrast of at least 4.5 for all colours that carry text, on paper and on shaded rows."""
    found = Opened(browser, report_page, DESKTOP, color_scheme=scheme)
    ratios = found.page.evaluate(
        """() => {
          const colour = name => { const probe = document.createElement('i'); probe.style.color = `var(--${name})`
            document.body.append(probe); const value = getComputedStyle(probe).color.match(/[\\d.]+/g).map(Number)
            probe.remove(); return value }
          const linear = value => value / 255 <= .03928 ? value / 255 / 12.92 : ((value / 255 + .055) / 1.055) ** 2.4
          const light = rgb => { const [r, g, b] = rgb.map(linear); return .2126 * r + .7152 * g + .0722 * b }
          const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + .05) / (y + .05) }
          const result = {}
          for (const ink of ['ink', 'muted', 'accent', 'good', 'bad', 'open'])
            for (const paper of ['paper', 'sheet', 'caution']) result[`${ink} on ${paper}`] = ratio(colour(ink), colour(paper))
          return result
        }"""
    )
    found.context.close()
    assert {pair: round(ratio, 2) for pair, ratio in ratios.items() if ratio < 4.5} == {}


def test_the_dark_is_dark(browser: Browser, report_page: Path) -> None:
    found = Opened(browser, report_page, DESKTOP, color_scheme="dark")
    background = found.page.evaluate("getComputedStyle(document.body).backgroundColor")
    found.context.close()
    assert background == "rgb(20, 23, 29)"


def test_paper_gets_everything(browser: Browser, report_page: Path, tmp_path: Path) -> None:
    found = Opened(browser, report_page, DESKTOP, color_scheme="dark")
    found.page.emulate_media(media="print")
    background = found.page.evaluate("getComputedStyle(document.body).backgroundColor")
    found.page.pdf(path=tmp_path / "report.pdf", format="A4")
    found.context.close()
    assert background == "rgb(255, 255, 255)"
    assert (tmp_path / "report.pdf").stat().st_size > 10_000
