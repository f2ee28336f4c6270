"""The table and the plot of `docs/speed.md`, and what is kept for them in `docs/speed.json`."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

from jobs.reporting.figures.style import SERIES
from tests.bench.beside import ROOT
from tests.bench.page import BEGIN, END, draw, main, merged, name_of, ratio_of, stored, table
from tests.bench.records import Measured, record

HERE = {"cpu": "C", "cores": "2", "has": "", "python": "3"}
FAST = Measured("train", "a loop", 100, [0.5], [1.0], 1.5, machine=HERE, date="2026-01-02")
SLOW = replace(FAST, peer="another", peer_s=[0.6], limit=250.0, limit_by="an engine")


def test_what_was_measured_again_replaces_itself_alone() -> None:
    again = replace(FAST, ours_s=[0.1])
    assert merged([FAST, SLOW], [again]) == [again, SLOW]


def test_a_table_for_each_machine_and_day() -> None:
    elsewhere = replace(SLOW, machine={**HERE, "cpu": "D", "has": "avx2"})
    assert table([FAST, elsewhere, replace(SLOW, date="2026-01-03")]).split("\n\n")[::2] == [
        "*C, 2 cores, Python 3, 2026-01-02:*",
        "*C, 2 cores, Python 3, 2026-01-03:*",
        "*D, 2 cores, avx2, Python 3, 2026-01-02:*",
    ]
    assert table([FAST, SLOW]).splitlines()[4:] == [FAST.line(), SLOW.line()]


def test_a_record_is_read_as_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TLBATCH_BENCH", str(tmp_path))
    record(SLOW)
    [path] = tmp_path.iterdir()
    found = Measured.from_json(json.loads(path.read_text()))
    assert replace(found, machine=SLOW.machine, date=SLOW.date) == SLOW
    assert found.machine["cores"]
    assert found.date > "2026"


def test_the_page_is_written_between_its_marks(tmp_path: Path) -> None:
    docs, measured = tmp_path / "docs", tmp_path / "bench"
    for folder in (docs, measured):
        folder.mkdir()
    (docs / "speed.md").write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    (docs / "speed.json").write_text(json.dumps([SLOW.to_json()]))
    (measured / "x.json").write_text(json.dumps(FAST.to_json()))
    main(measured, docs)
    text = (docs / "speed.md").read_text()
    assert text == f"before\n{BEGIN}\n\n{table([FAST, SLOW])}\n\n{END}\nafter\n"
    assert stored(docs / "speed.json") == [FAST, SLOW]
    assert "train · another" in (docs / "speed.svg").read_text()


def test_what_is_short_of_what_is_asked_is_told_apart(tmp_path: Path) -> None:
    drawn = []
    for each in (FAST, SLOW):
        draw([each], tmp_path / "one.svg")
        axes = (tmp_path / "one.svg").read_text().partition('id="axes_1"')[2].partition('id="legend_1"')[0]
        drawn.append([colour in axes for colour in SERIES[:2]])
    assert drawn == [[True, False], [False, True]]


def test_the_manual_has_the_table_and_the_plot_of_what_is_kept() -> None:
    """Fails when one of the three was changed by hand: `python -m tests.bench.page build/bench` writes all."""
    kept = stored(ROOT / "docs/speed.json")
    assert len(kept) >= 8
    assert f"{BEGIN}\n\n{table(kept)}\n\n{END}" in (ROOT / "docs/speed.md").read_text(encoding="utf-8")
    drawn = re.findall(r">([^<>]+)</text>", (ROOT / "docs/speed.svg").read_text(encoding="utf-8"))
    assert {unescape(text) for text in drawn} >= {text for each in kept for text in (name_of(each), ratio_of(each))}
