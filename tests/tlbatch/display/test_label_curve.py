"""The label curve in a terminal and in Markdown: every number of labels, the control, what is predicted, and the sentences."""

from __future__ import annotations

from typing import Any

import pytest

from tlbatch.display.label_curve import curve_lines
from tlbatch.display.progress import show_report
from tlbatch.display.tables import markdown_of_report

BETWEEN = {"value": 0.8, "low": 0.75, "high": 0.85}
POINT = {"labels": 5, "accuracy": BETWEEN, "control": {**BETWEEN, "value": 0.5}, "gain": {**BETWEEN, "value": 0.3}}
TWICE = {"labels": 10, "over": 5, "gain": {"value": 0.04, "low": 0.0, "high": 0.1}, "accuracy": {**BETWEEN, "value": 0.84}}


@pytest.fixture
def curve() -> dict[str, Any]:
    points = [{**POINT, "verdict": "helped"}, {**POINT, "labels": 7, "control": None, "gain": None, "verdict": None}]
    run = {"name": "means|1", "points": points, "twice": TWICE, "all": None, "sentences": ["means: transfer pays."]}
    return {"runs": [run]}


def test_every_number_of_labels_has_its_line(curve: dict[str, Any]) -> None:
    heading, _, measured, alone, predicted, *_ = (line for line in curve_lines(curve) if line.strip())
    assert heading.split()[:3] == ["run", "labels", "a"]
    assert " ".join(measured.split()) == "means|1 5 80.0 % 75.0 – 85.0 50.0 % +30.0 +75.0 – +85.0 helped"
    assert " ".join(alone.split()) == "means|1 7 80.0 % 75.0 – 85.0 – – – –"
    assert predicted.split()[1:5] == ["10", "(predicted)", "84.0", "%"]
    assert curve_lines(curve)[-1] == "means: transfer pays."


def test_reports_show_it_where_there_is_one(curve: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    report = {"study": "s", "first_sentence": "One.", "labels": curve}
    show_report(report)
    shown = capsys.readouterr().out
    assert "How many labels?" in shown
    assert curve_lines(curve)[2] in shown
    assert "means: transfer pays." in shown
    written = markdown_of_report(report)
    assert "| means\\|1 | 5 | 80.0 % | 75.0 – 85.0 | 50.0 % | +30.0 | +75.0 – +85.0 | helped |" in written
    assert "- means: transfer pays." in written
    del report["labels"]
    show_report(report)
    assert "How many labels?" not in capsys.readouterr().out + markdown_of_report(report)
