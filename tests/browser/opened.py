"""A page opened in Chromium, with all it did meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

DESKTOP, PHONE = 1280, 390


class Opened:
    """``said``: words on the console and errors; ``requests``: URLs that were asked for."""

    def __init__(self, browser: Browser, path: Path, width: int, **settings: Any) -> None:
        self.context = browser.new_context(viewport={"width": width, "height": 900}, reduced_motion="reduce", **settings)
        self.page: Page = self.context.new_page()
        self.said: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())
        self.page.evaluate("document.querySelectorAll('img').forEach(image => { image.loading = 'eager' })")
        self.page.wait_for_function("[...document.images].every(image => image.complete)")

    def unfold(self) -> None:
        self.page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true })")

    def outside(self) -> list[str]:
        """What of the page sticks out to the right, but for what scrolls by itself."""
        width = self.page.viewport_size["width"] if self.page.viewport_size else 0
        found: list[str] = self.page.evaluate(
            """width => [...document.querySelectorAll('main *, header *')].filter(element => !element.closest('.scroll')
                 && element.getBoundingClientRect().right > width + 1).map(element => element.outerHTML.slice(0, 80))""",
            width,
        )
        return found

    def faults(self) -> list[tuple[str, str, str]]:
        """Serious and critical faults that axe-core finds: what, where (the first), and why."""
        from axe_playwright_python.sync_playwright import Axe

        only = {"resultTypes": ["violations"]}  # the thousands of elements without a fault take most of the time otherwise
        violations = Axe().run(self.page, options=only).response["violations"]
        return [
            (v["id"], v["nodes"][0]["html"][:200], v["nodes"][0].get("failureSummary", ""))
            for v in violations
            if v["impact"] in ("serious", "critical")
        ]
