"""Chromium, and a report opened in it. Skipped where there is no Chromium, unless TLBATCH_REQUIRE names the browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jobs.report import run
from tests.jobs.reporting.drawn import Trained, draw_study
from tests.requirements import missing

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


@pytest.fixture(scope="session", params=list(STUDIES))
def report_page(request: pytest.FixtureRequest, chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``index.html`` of a study with two, ten and thirty classes."""
    classes, trained = STUDIES[request.param]
    study = draw_study(tmp_path_factory.mktemp("report"), classes, trained, 300)
    run(study.context())
    return study.root / "scratch" / "out" / "index.html"
