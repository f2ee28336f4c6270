"""``tlbatch test-preempt``: what it says where a task survives, and where one does not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.studies.shapes import STUDY, draw_shapes
from tlbatch.preemption.check import DIFFERS, EQUAL, NOT_COMPARED, Survivor, as_json

SIGNALS = (int(signal.SIGKILL), int(signal.SIGTERM))


def test_a_task_that_left_something_else_is_named() -> None:
    same = Survivor("finetune:a:0", "finetune", SIGNALS, ("d", "d"), (1.0, 2.0))
    other = Survivor("finetune:b:0", "finetune", SIGNALS, ("d", "e"), (1.0, 2.0))
    report = Survivor("report", "report", (), ("d", "e"), (1.0, 2.0))
    assert [same.verdict, other.verdict, report.verdict] == [EQUAL, DIFFERS, NOT_COMPARED]
    assert as_json((same, report))["equal"]
    document = as_json((same, other))
    assert not document["equal"]
    assert document["tasks"]["finetune:b:0"]["verdict"] == DIFFERS


@pytest.mark.slow
def test_a_study_of_drawn_shapes_survives(tmp_path: Path) -> None:
    draw_shapes(tmp_path / "images", 48)
    (tmp_path / "study.yaml").write_text(STUDY[: STUDY.index("  - name: features")])
    command = [sys.executable, "-m", "tlbatch", "test-preempt", str(tmp_path / "study.yaml"), "-o", "json"]
    done = subprocess.run([*command, "--set", "runs[cnn].train.epochs=40"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["equal"]
    assert document["tasks"]["finetune:cnn:0"]["signals"], document
