"""The page of faults: a section a test file, rows that say the same added up."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.records import SECTIONS, page, record


def test_a_row_is_kept_once_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TLBATCH_FAULTS", str(tmp_path))
    record("driver", "a | b", "equal")
    monkeypatch.setenv("PYTEST_CURRENT_TEST", "tests/faults/test_kills.py::test_x[1] (call)")
    record("step pin", "SIGKILL", "equal", 1200)
    record("step pin", "SIGKILL", "equal", 34)
    text = page(tmp_path, "2026-11-28")
    assert text.index("## Steps killed") < text.index("## Others")
    assert "| step pin | SIGKILL | 1,234 | equal |" in text
    assert "| driver | a \\| b | 1 | equal |" in text
    assert "1,235 faults" in text


def test_every_file_that_records_has_a_section() -> None:
    folders = [Path(__file__).parent, Path(__file__).parents[1] / "e2e"]
    files = {path.name for folder in folders for path in folder.glob("test_*.py") if " record(" in path.read_text()}
    assert files - {Path(__file__).name} <= set(SECTIONS)
