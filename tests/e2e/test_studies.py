"""Whole studies on the cluster, their data and results in S3: as a user runs them, and with what goes wrong in clusters."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.user import User, content, evict, finished, no_orphans, running_pod, state, trains, until
from tlbatch.cluster import Cluster as Api
from tlbatch.cluster.client import JOBS, PODS
from tlbatch.manifests.names import EXECUTION
from tlbatch.records.executions import Execution
from tlbatch.store import open_store

pytestmark = pytest.mark.e2e


def test_the_same_study_here_and_there_gives_the_same_artifacts(user: User, api: Api, pictures: Path, tmp_path: Path) -> None:
    """From a folder with processes, from S3 with Jobs: equal digests from prepare on, so equal keys and metrics."""
    execution = user.submit(user.study("here-and-there"))
    status = finished(execution)
    assert status["state"] == "succeeded", status
    no_orphans(api, execution)
    local = tmp_path / "local"
    user.run("run", "--cores", "1", "-q", str(user.study("here-and-there", url=str(pictures))), "--store", str(local))
    here = next(iter(open_store(str(local)).list("executions/"))).name.split("/")[1]
    assert content(Execution(open_store(str(local)), here)) == content(execution)
    assert "cnn" in user.run("report", execution.id)


@pytest.mark.slow
def test_a_second_submit_computes_nothing(user: User) -> None:
    study = user.study("twice")
    assert finished(user.submit(study))["state"] == "succeeded"
    again = finished(user.submit(study))
    assert {task["state"] for task in again["tasks"].values()} == {"cached"}


def test_the_driver_is_deleted_at_three_moments(user: User, api: Api) -> None:
    execution = user.submit(user.study("no-driver", epochs=150))
    moments: list[str] = []
    for step in ("prepare", "finetune", "evaluate"):
        until(lambda step=step: running_pod(api, execution, step) or state(execution) == "succeeded", f"{step} runs")
        driver = until(lambda: running_pod(api, execution, "") or state(execution) == "succeeded", "a driver runs")
        if driver is not True:
            api.delete(PODS, driver, grace_s=0 if step == "finetune" else None)
            moments.append(step)
    status = finished(execution)
    assert status["state"] == "succeeded", status
    assert len(moments) >= 2
    assert {task["state"] for task in status["tasks"].values()} == {"done"}
    no_orphans(api, execution)
    manifests = [stat.name for stat in execution.store.list("artifacts/") if stat.name.endswith("manifest.json")]
    assert len(manifests) == 4


def test_a_training_is_evicted_and_goes_on_from_its_checkpoint(user: User, api: Api) -> None:
    execution = user.submit(user.study("evicted", epochs=1500))
    pod = until(lambda: running_pod(api, execution, "finetune"), "the training runs")
    until(lambda: trains(execution), "it trains")
    time.sleep(8)
    evict(api, pod)
    status = finished(execution)
    assert status["state"] == "succeeded", status
    assert status["tasks"]["finetune:cnn:0"]["codes"] == []
    assert status["tasks"]["finetune:cnn:0"]["place"]["restarts"] == 1


@pytest.mark.slow
def test_two_executions_at_once_compute_each_task_once(user: User) -> None:
    study = user.study("at-once")
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: user.submit(study), range(2)))
    ends = [finished(execution) for execution in both]
    assert [end["state"] for end in ends] == ["succeeded", "succeeded"]
    for name in ends[0]["tasks"]:
        assert sorted(end["tasks"][name]["state"] for end in ends) == ["cached", "done"], name


def test_cancel_ends_everything_within_20_s_and_what_was_done_is_told(user: User, api: Api) -> None:
    execution = user.submit(user.study("cancelled", epochs=20000))
    until(lambda: running_pod(api, execution, "finetune"), "the training runs")
    user.run("cancel", execution.id)
    started = time.monotonic()

    def nothing() -> bool:
        pods = api.list(PODS, f"{EXECUTION}={execution.id}")[0]
        return all(pod["status"]["phase"] not in ("Pending", "Running") for pod in pods)

    until(nothing, "nothing runs", 20)
    print(f"cancelled in {time.monotonic() - started:.1f} s")
    assert state(execution) == "cancelled"
    assert api.list(JOBS, f"{EXECUTION}={execution.id}")[0] == []
    assert "cancelled" in user.run("status", execution.id)
    assert user.run("logs", "prepare", "--execution", execution.id)
    user.run("resume", execution.id, code=2)


def test_wrong_data_fails_once_and_is_told_without_the_cluster(user: User, api: Api, bucket: str) -> None:
    from tlbatch.store.s3 import open_client

    for label in ("a", "b"):
        for number in range(30):
            open_client().put_object(Bucket=bucket, Key=f"bad/{label}/{number}.png", Body=b"no picture")
    execution = user.submit(user.study("bad", url=f"s3://{bucket}/bad"))
    status = finished(execution)
    assert status["tasks"]["prepare"]["codes"] == [65], status
    api.delete(JOBS, execution.id)
    assert "prepare" in user.run("why", execution.id)
    assert user.run("logs", "prepare", "--execution", execution.id)
    assert "failed" in user.run("status", execution.id)


@pytest.mark.slow
def test_after_a_failure_resume_keeps_what_is_done(user: User, api: Api) -> None:
    execution = user.submit(user.study("resumed"), "--set", "resources.steps.evaluate={memory: 40Mi}")
    status = finished(execution)
    assert status["state"] == "failed", status
    assert "40Mi" in status["tasks"]["evaluate:cnn"]["sentence"]
    done = status["tasks"]["finetune:cnn:0"]["seconds"]
    text = execution.load_study().replace("40Mi", "2Gi")
    execution.store.put(execution.name("study.yaml"), text.encode())
    user.run("resume", execution.id, "--task", "evaluate:cnn")
    status = finished(execution)
    assert status["state"] == "succeeded", status
    assert {name: task["state"] for name, task in status["tasks"].items()} == {
        "prepare": "done",
        "finetune:cnn:0": "done",
        "evaluate:cnn": "done",
    }
    assert status["tasks"]["finetune:cnn:0"]["seconds"] == pytest.approx(done, abs=2)
    no_orphans(api, execution)


@pytest.mark.slow
def test_the_api_server_restarts_under_the_driver(user: User, api: Api, cluster: Any) -> None:
    execution = user.submit(user.study("no-api", epochs=600))
    until(lambda: running_pod(api, execution, "finetune"), "the training runs")
    process = Path(os.environ["KUBECONFIG"]).parent / "run" / "kube-apiserver.pid"
    os.kill(int(process.read_text()), signal.SIGKILL)
    time.sleep(3)
    cluster.run("up")
    status = finished(execution)
    assert status["state"] == "succeeded", status
    assert status["tasks"]["finetune:cnn:0"]["place"]["restarts"] == 0
    no_orphans(api, execution)
