"""Logs of tasks that could not store any: their pods' own, while these are there and after they are gone."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.e2e.user import User, finished, no_orphans, until
from tlbatch.cluster import Cluster as Api

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
TASK = "finetune:cnn:0"


def finetune(**container: Any) -> list[str]:
    """``--set`` of a change to the container that trains."""
    patch = json.dumps({"containers": [{"name": "step", **container}]})
    return ["--set", f"resources.steps.finetune={{pod_patch: {patch}}}"]


def test_a_task_that_crashed_before_it_could_store_its_log_has_one(user: User, api: Api) -> None:
    crash = "print('boom, said the pod', flush=True); raise SystemExit(1)"
    execution = user.submit(user.study("crashed"), *finetune(command=["python", "-c", crash]))
    assert finished(execution)["tasks"][TASK]["state"] == "failed"
    no_orphans(api, execution)
    assert "boom, said the pod" in user.run("logs", TASK, "--execution", execution.id)


def test_following_the_log_of_a_pod_whose_image_is_not_there_says_so(user: User) -> None:
    execution = user.submit(user.study("no-image"), *finetune(image="localhost/no-such-image:1"))
    until(lambda: (execution.load_status() or {}).get("tasks", {}).get(TASK, {}).get("state") == "running", "it was started")
    command = [sys.executable, "-m", "tlbatch", "logs", TASK, "--execution", execution.id, "-f"]
    following = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=user.environment)
    try:
        assert following.stderr is not None
        lines = iter(following.stderr.readline, "")
        assert next(line for line in lines if "localhost/no-such-image:1 cannot be pulled" in line)
        user.run("cancel", execution.id)
        assert following.wait(60) == 0
    finally:
        following.kill()


def test_following_a_training_prints_its_log_once(user: User) -> None:
    execution = user.submit(user.study("followed", epochs=300))
    until(lambda: (execution.load_status() or {}).get("tasks", {}).get(TASK, {}).get("state") == "running", "it was started")
    text = user.run("logs", TASK, "--execution", execution.id, "-f")
    assert finished(execution)["state"] == "succeeded"
    stored = user.run("logs", TASK, "--execution", execution.id).partition("\n")[2]
    assert "training and" in stored
    assert text.endswith(stored)  # the pod's own may begin earlier, with what the imports say
    assert text.count("training and") == 1
