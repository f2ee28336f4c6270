"""Comparisons and trends in a real browser: quiet, asking nothing of anyone, for phones, the dark, keyboards and paper."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.opened import DESKTOP, PHONE, Opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_it_is_quiet_asks_nothing_and_fits(browser: Browser, other_page: Path, width: int) -> None:
    found = Opened(browser, other_page, width)
    found.unfold()
    scrolled = found.page.evaluate("document.documentElement.scrollWidth")
    outside, said, requests = found.outside(), found.said, found.requests
    found.context.close()
    assert said == []
    assert {url for url in requests if not url.startswith("data:")} == {other_page.as_uri()}
    assert scrolled <= width
    assert outside == []


@pytest.mark.parametrize(("scheme", "width"), [("light", PHONE), ("dark", DESKTOP)])
def test_axe_finds_no_serious_fault(browser: Browser, other_page: Path, width: int, scheme: Any) -> None:
    found = Opened(browser, other_page, width, color_scheme=scheme)
    found.unfold()
    faults = found.faults()
    background = found.page.evaluate("getComputedStyle(document.body).backgroundColor")
    found.context.close()
    assert faults == []
    assert background == ("rgb(20, 23, 29)" if scheme == "dark" else "rgb(255, 255, 255)")


def test_paper_is_white_and_gets_everything(browser: Browser, other_page: Path, tmp_path: Path) -> None:
    found = Opened(browser, other_page, DESKTOP, color_scheme="dark")
    found.page.emulate_media(media="print")
    background = found.page.evaluate("getComputedStyle(document.body).backgroundColor")
    found.page.pdf(path=tmp_path / "page.pdf", format="A4")
    found.context.close()
    assert background == "rgb(255, 255, 255)"
    assert (tmp_path / "page.pdf").stat().st_size > 10_000


def test_the_trend_starts_at_its_newest_firing(browser: Browser, trend: Path) -> None:
    found = Opened(browser, trend, PHONE)
    inside = found.page.evaluate(
        """() => { const region = document.querySelector('.newest'), box = region.getBoundingClientRect()
             const dots = [...region.querySelectorAll('circle')].map(dot => dot.getBoundingClientRect())
             return [region.scrollWidth > box.width, dots.at(-1).right <= box.right, dots[0].right < box.left] }"""
    )
    found.context.close()
    assert inside == [True, True, True]


def test_numbers_of_champions_do_not_touch(browser: Browser, trend: Path) -> None:
    found = Opened(browser, trend, DESKTOP)
    touching = found.page.evaluate(
        """() => { const boxes = [...document.querySelectorAll('text.crowned')].map(text => text.getBoundingClientRect())
             return boxes.flatMap((a, i) => boxes.slice(i + 1).filter(b => a.left < b.right && b.left < a.right
               && a.top < b.bottom - 2 && b.top < a.bottom - 2)).length }"""
    )
    found.context.close()
    assert touching == 0


def test_faults_that_are_there_are_found(browser: Browser, tmp_path: Path) -> None:
    """axe is asked for violations alone: these must be among them."""
    page = tmp_path / "page.html"
    page.write_text("<html lang=en><title>a</title><main><p style='color:#bbb;background:#fff'>pale</p><img src=data:,></main>")
    found = Opened(browser, page, DESKTOP)
    faults = {name for name, _, _ in found.faults()}
    found.context.close()
    assert {"image-alt", "color-contrast"} <= faults
