"""A study drawn on disk for the report's tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.jobs.reporting.drawn import StudyOnDisk, Trained, draw_study

BuildStudy = Callable[..., StudyOnDisk]


@pytest.fixture
def build_study(tmp_path: Path) -> BuildStudy:
    """``build_study(classes, trained, n_test=..., seen=...)`` -> StudyOnDisk."""

    def build(classes: list[str], trained: list[Trained], n_test: int = 400, seen: dict[str, str] | None = None) -> StudyOnDisk:
        return draw_study(tmp_path, classes, trained, n_test, seen)

    return build
