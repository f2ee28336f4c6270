"""Chromium, and a report opened in it. Skipped where there is no Chromium, unless TLBATCH_REQUIRE names the browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jobs.comparing.analysis import compare
from jobs.comparing.page import render_page
from jobs.comparing.sides import load_sides
from jobs.report import run
from tests.jobs.reporting.drawn import Trained, draw_study
from tests.requirements import missing
from tests.tlbatch.schedules.test_trend import FIRINGS, REIGNS, firing, term
from tlbatch.schedules.trend import trend_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
SEEDS = (0, 1, 2)
STUDIES = {
    "two classes": (
        ["cat", "dog"],
        [
            Trained("regularised-cnn", 1.0),
            Trained("mobilenet-150-unit-nearest", 2.4, pretrained=True, strategy="features", mismatched=True),
            Trained("mobilenet-features", 3.0, pretrained=True, strategy="features"),
            Trained("mobilenet-features-random", 0.8, control_for=("mobilenet-features",), strategy="features"),
            Trained("mobilenet-v2-no-labels", 2.6, pretrained=True, zero_label=True),
        ],
    ),
    "ten classes": (
        [f"a-rather-long-breed-name-{i}" for i in range(10)],
        [
            Trained("from-scratch", 3.0, seeds=SEEDS),
            Trained("convolution-features", 3.5, pretrained=True, strategy="features", layer="conv2", seeds=SEEDS),
            Trained("penultimate-features", 2.5, pretrained=True, strategy="features", layer="dense1", seeds=SEEDS),
        ],
    ),
    "thirty classes": (
        [f"breed {i}" for i in range(30)],
        [Trained("cnn", 2.0), Trained("features", 4.5, pretrained=True, strategy="features")],
    ),
}


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the browser."""
    found = os.environ.get("TLBATCH_CHROMIUM") or next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if found is None:
        missing("browser", "no Chromium to open reports in: install chromium, or set TLBATCH_CHROMIUM to its path")
    return found


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield opened
        opened.close()


MANY = "120 classes"
STUDIES[MANY] = (
    [f"long_named_terrier_{i}" if i % 7 == 0 else f"breed_{i}" for i in range(120)],
    [Trained("cnn", 2.0), Trained("features", 4.6, pretrained=True, strategy="features")],
)
PARAMS = [pytest.param(name, marks=pytest.mark.slow) if name == MANY else name for name in STUDIES]


@pytest.fixture(scope="session", params=PARAMS)
def report_page(request: pytest.FixtureRequest, chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``index.html`` of a study with two, ten, thirty and 120 classes."""
    classes, trained = STUDIES[request.param]
    study = draw_study(tmp_path_factory.mktemp("report"), classes, trained, 5 * len(classes) if len(classes) > 60 else 300)
    run(study.context())
    return study.root / "scratch" / "out" / "index.html"


@pytest.fixture(scope="session")
def compare_page(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two executions of stores of their own: other runs, 20 test images fewer, and so other images."""
    classes, trained = STUDIES["ten classes"]
    folder = tmp_path_factory.mktemp("compare")
    better = [*trained[:2], Trained("fine-tuned", 3.8, pretrained=True, strategy={"finetune": {"unfreeze": "all"}})]
    drawn = [draw_study(folder / f"{n}", classes, runs, n) for runs, n in ((trained, 300), (better, 280))]
    sides = load_sides([study.execution(f"fixture-2026112{place}-0300-aaaa") for place, study in enumerate(drawn)], folder)
    page = folder / "compare.html"
    page.write_text(render_page(compare(sides), folder / "figures"), encoding="utf-8")
    return page


@pytest.fixture(scope="session")
def trend(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty firings of all kinds, with champions close to each other and numbers of two digits."""
    kinds = [firing(day, "unchanged") for day in range(6, 40)]
    promoted = [firing(day, outcome="promoted", challenger=0.85 + day / 1000, champion=0.85) for day in range(40, 60)]
    crowned = [term(place + 4, f"execution pets-{place + 40:04}", place + 40, 0.88) for place in range(20)]
    page = tmp_path_factory.mktemp("trend") / "trend.html"
    page.write_text(trend_page("pets", [*FIRINGS, *kinds, *promoted], [*REIGNS, *crowned]), encoding="utf-8")
    return page


@pytest.fixture(params=["compare_page", "trend"])
def other_page(request: pytest.FixtureRequest) -> Path:
    """A comparison's and a trend's page."""
    found: Path = request.getfixturevalue(request.param)
    return found
