"""CSV that no spreadsheet computes, whose numbers are numbers, and that reads back as the same names.

Mutation tried: leaving cells as they are fails the first test, taking an apostrophe off every cell the second.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.tlbatch.listed import lay_out
from tlbatch.datasets.relabelling import load_corrections, plan_relabelling, save_corrections
from tlbatch.spec import load_study
from tlbatch.spreadsheet import csv_text, defused, restored
from tlbatch.store.directory import DirectoryStore

TEXT = st.text(st.sampled_from("'=+-@\t\r\n＝ab1., \"|"), max_size=8)
PATIENT = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))


@PATIENT
@given(TEXT)
def test_no_cell_starts_a_formula_and_each_reads_back(text: str) -> None:
    written = defused(text)
    assert restored(written) == text
    if written[:1] in tuple("=@\t\r\n＝"):
        pytest.fail(repr(written))
    if written[:1] in ("+", "-") and len(written) > 1:
        float(written.replace(",", "").removesuffix("%"))


@pytest.mark.parametrize("number", [-0.5, 3, "-0.5", "+2.8", "-1e-05", "-3.2 %", "-1,234", "-", "−0.5", "–"])
def test_numbers_stay_numbers(number: object) -> None:
    assert defused(number) == number


def test_commands_for_a_spreadsheet_are_text() -> None:
    text = csv_text(("=head",), [("=1+1.jpg",), ("@SUM(A1)",), ("-2+3",), ("+cmd|' /C calc'!A0",), (-2.5,), (None,)])
    first = [row[0] if row else "" for row in csv.reader(io.StringIO(text))]
    assert first == ["'=head", "'=1+1.jpg", "'@SUM(A1)", "'-2+3", "'+cmd|' /C calc'!A0", "-2.5", ""]


def test_suspects_are_relabelled_by_the_names_they_have(tmp_path: Path) -> None:
    """What the report wrote, edited and handed back; the corrections in the store read back, too."""
    path = lay_out(tmp_path, "shapes", ("=a", "b"))
    for name in ("=1+1.png", "'=2.png", "-5.png", "@x.png"):
        (tmp_path / "images" / "=a" / name).write_bytes(b"listed")
        (tmp_path / "images" / name).write_bytes(b"loose")
    study, store = load_study(str(path)).study, DirectoryStore(tmp_path / "store")
    names = ["=a/=1+1.png", "=a/'=2.png", "=a/-5.png", "=a/@x.png"]
    data = csv_text(("path", "label", "labelled"), [(name, "b", "=a") for name in names]).encode()
    planned, before = plan_relabelling(study, store, data, "suspects.csv")
    assert dict(planned.corrections) == dict.fromkeys(names, "b")
    save_corrections(store, study.name, planned.corrections, before)
    assert dict(load_corrections(store, study.name).labels) == dict.fromkeys(names, "b")
    untouched = csv_text(("path", "label", "labelled"), [(name, "=a", "=a") for name in names]).encode()
    assert plan_relabelling(study, store, untouched, "suspects.csv")[0].changes == ()
    back = csv_text(("path", "label"), [(name, "=a") for name in names]).encode()
    assert dict(plan_relabelling(study, store, back, "back.csv")[0].corrections) == {}
