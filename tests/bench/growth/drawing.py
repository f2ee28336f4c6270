"""Draws a study's artifacts for the report, in a process whose memory is not the report's; prints the key of its task."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.jobs.reporting import drawn
from tests.jobs.reporting.drawn import Trained, draw_study
from tlbatch.tasks import Task, task_name

if __name__ == "__main__":
    folder, classes, n_test, trained = sys.argv[1:]
    drawn.TRAIN = 4  # pictures of two classes: a report looks at a few of them only
    runs = [
        Trained(name, margin, **{**more, "control_for": tuple(more.get("control_for", ()))})
        for name, margin, more in json.loads(trained)
    ]
    study = draw_study(Path(folder), [f"class {number}" for number in range(int(classes))], runs, int(n_test))
    task = Task("report", study.params(), study.inputs, name="report")
    study.store.put(task_name(task.key), task.to_json())
    print(task.key)
