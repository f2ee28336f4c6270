"""A prediction's Job, compared with what was written down."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tlbatch.manifests import Needs, Site, build_task_job
from tlbatch.manifests.needs import predict_needs
from tlbatch.manifests.predictions import OUT, build_predict_job, out_label
from tlbatch.manifests.site import DriverIdentity
from tlbatch.spec.resources import StudyResources
from tlbatch.tasks import InputRef, Task

GOLDEN = Path(__file__).parent / "golden" / "predict.yaml"
DEFAULTS = StudyResources.model_validate_json(
    '{"cpu": 4, "gpu": 1, "memory": "16Gi", "labels": {"team": "vision"}, "queue": "gpus", "ttl": "2h",'
    ' "node_selector": {"gpu": "a100"}, "steps": {"evaluate": {"memory": "12Gi"}, "finetune": {"memory": "64Gi"}}}'
)


@pytest.fixture
def task() -> Task:
    params = {"out": "s3://pets/said", "files": "0" * 64}
    return Task("predict", params, {"model:0": InputRef("finetune", "f" * 40, "1" * 64)}, name="predict")


def test_the_job(task: Task, site: Site) -> None:
    """Set TLBATCH_GOLDEN=write to write it anew; a person then reads it."""
    job = build_predict_job(task, site, predict_needs(DEFAULTS, {"gpu": None}), 4, "pets", "jane@example.org")
    text = yaml.safe_dump(job, sort_keys=False)
    text = re.sub(r"-[0-9a-f]{8}\n", "-HASH\n", re.sub(r"\b[0-9a-f]{40}\b", "KEY", text))
    if os.environ.get("TLBATCH_GOLDEN") == "write":
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


def test_its_pods_are_as_hardened_as_those_of_steps(task: Task, site: Site) -> None:
    needs = Needs(cpu="1", memory="1Gi", scratch="1Gi")
    evaluate = Task("evaluate", {}, name="evaluate")
    other = build_task_job(evaluate, site, needs, "pets-20261123-0412-x7k2", "pets", DriverIdentity("d", "u"))
    ours = build_predict_job(task, site, needs, 1, "pets")["spec"]["template"]["spec"]
    theirs = other["spec"]["template"]["spec"]
    for spec in (ours, theirs):
        for name in ("command", "args"):
            spec["containers"][0].pop(name)
    assert ours == theirs


def test_what_the_command_line_asks_for_comes_last() -> None:
    asked = predict_needs(DEFAULTS, {"gpu": 0})
    assert (asked.gpu, asked.memory, asked.cpu, asked.ttl_s) == (0, "12Gi", "4", 7200)
    assert predict_needs(DEFAULTS, {"gpu": None}).gpu == 1
    assert predict_needs(StudyResources(), {"gpu": None}).gpu == 0


def test_names_tell_tasks_and_shards_apart_and_fit(task: Task, site: Site) -> None:
    needs = predict_needs(DEFAULTS, {})

    def name(task: Task, shards: int) -> str:
        job = build_predict_job(task, site, needs, shards, "a-schedule-with-a-name-that-is-much-too-long")
        assert job["metadata"]["labels"][OUT] == out_label(task.params["out"])
        return str(job["metadata"]["name"])

    other = replace(task, params={**task.params, "out": "s3://pets/other"})
    names = [name(task, 4), name(task, 5), name(other, 4)]
    assert len(set(names)) == 3
    assert name(task, 4) == names[0]
    assert all(len(each) <= 52 for each in names)
