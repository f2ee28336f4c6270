"""The report in a real browser: quiet, asking nothing of anyone, fit for a phone, for the dark, for keyboards and for paper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.opened import DESKTOP, PHONE, Opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser


@pytest.fixture(params=[DESKTOP, PHONE])
def opened(request: pytest.FixtureRequest, browser: Browser, report_page: Path) -> Iterator[Opened]:
    found = Opened(browser, report_page, request.param)
    yield found
    found.context.close()


def test_it_is_quiet_and_asks_nothing_of_anyone(opened: Opened, report_page: Path) -> None:
    assert opened.said == []
    assert {url for url in opened.requests if not url.startswith("data:")} == {report_page.as_uri()}


def test_nothing_sticks_out_sideways(opened: Opened) -> None:
    opened.unfold()
    width = opened.page.viewport_size["width"] if opened.page.viewport_size else 0
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    assert opened.outside() == []


def test_it_is_small_enough_to_send(report_page: Path) -> None:
    assert report_page.stat().st_size < 5_000_000


@pytest.mark.parametrize(("scheme", "width"), [("light", PHONE), ("dark", DESKTOP)])
def test_axe_finds_no_serious_fault(browser: Browser, report_page: Path, scheme: Any, width: Any) -> None:
    """Colours and layout do not act on each other: each scheme and each width once."""
    found = Opened(browser, report_page, width, color_scheme=scheme)
    found.unfold()
    faults = found.faults()
    found.context.close()
    assert faults == []


def test_names_of_classes_are_never_broken_in_mid_word(opened: Opened) -> None:
    """Heads of the matrix are one line each (turned where there are many)."""
    broken = opened.page.evaluate(
        """[...document.querySelectorAll('.confusion thead span, .confusion tbody th span')].filter(span => {
             const range = document.createRange(); range.selectNodeContents(span)
             const turned = getComputedStyle(span).writingMode !== 'horizontal-tb'
             const lines = new Set([...range.getClientRects()].map(box => Math.round(turned ? box.left : box.top)))
             return lines.size > 1 }).map(span => span.textContent)"""
    )
    assert broken == []


def test_a_cell_of_the_matrix_is_read_by_mouse_and_by_keyboard(opened: Opened) -> None:
    matrix = opened.page.locator("#mistakes .matrix").first
    said, cells = matrix.locator("output"), matrix.locator("tbody tr").first.locator("td")
    names = matrix.locator("thead span").all_inner_texts()
    cells.nth(1).hover()
    assert said.inner_text().startswith(f"{names[0]} taken for {names[1]}: ")
    matrix.locator("td[tabindex='0']").focus()
    n = cells.first.inner_text()
    assert said.inner_text().startswith(f"{names[0]} recognised: {n} of ")
    for key in ("ArrowRight", "ArrowDown", "End", "PageDown"):
        opened.page.keyboard.press(key)
    assert opened.page.evaluate("document.activeElement.cellIndex") == len(names)
    row = min(11, len(names) - 1)
    wanted = "recognised" if row == len(names) - 1 else f"taken for {names[-1]}"
    opened.page.wait_for_timeout(300)  # by now a cell has scrolled under the resting pointer, and must not speak
    assert said.inner_text().startswith(f"{names[row]} {wanted}: ")
    hidden = opened.page.evaluate(
        """() => { const cell = document.activeElement.getBoundingClientRect()
             const top = document.elementFromPoint(cell.x + cell.width / 2, cell.y + cell.height / 2)
             return top !== document.activeElement && top.outerHTML.slice(0, 80) }"""
    )
    assert not hidden  # heads that stay in view do not cover it
    if len(names) > 2:
        cells.nth(2).hover()  # a pointer that moves is heard again
        assert said.inner_text().startswith(f"{names[0]} taken for {names[2]}: ")


def test_rows_of_the_matrix_add_up_to_the_classes_images(opened: Opened) -> None:
    rows, totals = opened.page.evaluate(
        """() => [[...document.querySelector('#mistakes .matrix tbody').rows].map(row =>
             [...row.cells].slice(1).reduce((sum, cell) => sum + Number(cell.textContent.replace(/\\D/g, '')), 0)),
           [...[...document.querySelectorAll('#mistakes table.classes')].at(-1).tBodies[0].rows].map(row =>
             Number(row.cells[1].textContent))]"""
    )
    assert rows == totals


def test_every_picture_is_drawn_and_figures_have_legible_text(opened: Opened) -> None:
    broken = opened.page.evaluate("[...document.images].filter(image => image.naturalWidth === 0).length")
    assert broken == 0
    opened.unfold()
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


def test_tables_fit_on_paper(browser: Browser, report_page: Path) -> None:
    """A4 between its margins is 718 px wide; nothing scrolls there."""
    found = Opened(browser, report_page, 718)
    found.page.emulate_media(media="print")
    wide = found.page.evaluate(
        """[...document.querySelectorAll('main *')].filter(element => element.getBoundingClientRect().right > 719)
             .map(element => element.outerHTML.slice(0, 80))"""
    )
    found.context.close()
    assert wide == []


def test_paper_gets_everything(browser: Browser, report_page: Path, tmp_path: Path) -> None:
    found = Opened(browser, report_page, DESKTOP, color_scheme="dark")
    found.page.emulate_media(media="print")
    background = found.page.evaluate("getComputedStyle(document.body).backgroundColor")
    found.page.pdf(path=tmp_path / "report.pdf", format="A4")
    found.context.close()
    assert background == "rgb(255, 255, 255)"
    assert (tmp_path / "report.pdf").stat().st_size > 10_000
