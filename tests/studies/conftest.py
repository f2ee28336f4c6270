"""A whole small study on pictures drawn here, run once for real; tests go on from a copy of its store."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.studies.shapes import STUDY, Bench, draw_shapes
from tlbatch.execution.launch import Outcome


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, Outcome]:
    """The study run once on an empty store."""
    bench = Bench(tmp_path_factory.mktemp("shapes"))
    draw_shapes(bench.images, 48)
    bench.study.write_text(STUDY)
    outcome = bench.run()
    assert outcome.state == "succeeded", [(work.name, work.sentence) for work in outcome.works if work.state == "failed"]
    return bench, outcome


@pytest.fixture
def bench(first_run: tuple[Bench, Outcome], tmp_path: Path) -> Bench:
    """A copy of everything after the first run."""
    copy = tmp_path / "copy"
    shutil.copytree(first_run[0].folder, copy)
    return Bench(copy)


@pytest.fixture
def fresh(first_run: tuple[Bench, Outcome], tmp_path: Path) -> Bench:
    """The study and its pictures with an empty store."""
    copy = tmp_path / "fresh"
    shutil.copytree(first_run[0].images, copy / "images")
    shutil.copy(first_run[0].study, copy / "study.yaml")
    return Bench(copy)
