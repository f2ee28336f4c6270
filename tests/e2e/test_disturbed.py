"""Studies whose pods are removed, killed, short of GPUs or spread over indexes; and what the store tells without a cluster."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.user import User, cnn, finished, no_orphans, running_pod, trains, until
from tlbatch.cluster import Cluster as Api
from tlbatch.cluster.client import PODS
from tlbatch.manifests.names import EXECUTION, STEP
from tlbatch.records.executions import Execution
from tlbatch.store.artifacts import load_manifest

pytestmark = pytest.mark.e2e

SHARED = ("extract", "evaluate")

HUNGRY_ONCE = """
import os, runpy, sys
import boto3
from botocore.exceptions import ClientError
bucket, _, prefix = sys.argv[sys.argv.index("--task") + 1].removeprefix("s3://").partition("/")
try:
    boto3.client("s3").put_object(Bucket=bucket, Key=prefix.partition("/")[0] + "/hungry", Body=b"", IfNoneMatch="*")
except ClientError:
    sys.argv[0] = "jobs.finetune"
    runpy.run_module("jobs.finetune", run_name="__main__", alter_sys=True)
else:
    print(len(bytearray(os.urandom(1) * 3_000_000_000)))
"""


def one_manifest_each(execution: Execution) -> None:
    """Every key has its artifact, once."""
    manifests = [stat.name for stat in execution.store.list("artifacts/") if stat.name.endswith("manifest.json")]
    keys = {task["key"] for task in (execution.load_plan() or {})["tasks"].values()}
    assert sorted(name.split("/")[2] for name in manifests) == sorted(keys)


@pytest.mark.slow
def test_a_removed_pod_counts_as_a_try_and_its_training_goes_on(user: User, api: Api) -> None:
    execution = user.submit(user.study("removed", epochs=1500))
    pod = until(lambda: running_pod(api, execution, "finetune"), "the training runs")
    until(lambda: trains(execution), "it trains")
    api.delete(PODS, pod)
    status = finished(execution)
    assert status["state"] == "succeeded", status
    assert status["tasks"]["finetune:cnn:0"]["place"]["restarts"] == 1
    no_orphans(api, execution)
    one_manifest_each(execution)


@pytest.mark.slow
def test_killed_for_memory_once_it_succeeds_at_the_second_try(user: User, api: Api) -> None:
    patch = json.dumps({"containers": [{"name": "step", "command": ["python", "-c", HUNGRY_ONCE]}]})
    resources = f"resources.steps.finetune={{memory: 2Gi, pod_patch: {patch}}}"
    execution = user.submit(user.study("hungry"), "--set", resources)
    killed = until(lambda: "memory" in user.run("why", execution.id) or finished_well(execution), "why says memory")
    assert killed
    status = finished(execution)
    assert status["state"] == "succeeded", status
    assert status["tasks"]["finetune:cnn:0"]["place"]["restarts"] == 1
    no_orphans(api, execution)
    one_manifest_each(execution)


def finished_well(execution: Execution) -> bool:
    return (execution.load_status() or {}).get("state") == "succeeded"


@pytest.fixture
def two_gpus(cluster: Any) -> Iterator[None]:
    cluster.run("gpus", "2")
    yield
    cluster.run("gpus", "0")


@pytest.mark.usefixtures("two_gpus")
def test_of_three_tasks_that_want_a_gpu_two_run_and_one_waits(user: User, api: Api) -> None:
    study = user.study("gpus", runs=[cnn(f"cnn{i}", 500, i * 1e-4) for i in (1, 2, 3)])
    gpu = "resources.steps.finetune={gpu: 1, cpu: 300m, memory: 1Gi}"
    execution = user.submit(study, "--set", gpu)

    def phases() -> list[str]:
        pods = api.list(PODS, f"{EXECUTION}={execution.id},{STEP}=finetune")[0]
        return sorted(pod["status"]["phase"] for pod in pods)

    until(lambda: phases() == ["Pending", "Running", "Running"], "two run and one waits")
    until(lambda: "no node has a free GPU" in user.run("why", execution.id), "why says so", 60)
    assert finished(execution)["state"] == "succeeded"


def test_four_indexes_give_the_bytes_of_one(user: User, api: Api, tmp_path: Path) -> None:
    """A shared extraction or evaluation is one Indexed Job; how many indexes there are is in no key and changes no bit."""
    head = {"backbone": "efficientnet_lite0", "head": {"logistic": {}}}
    study = user.study("sharded", runs=[{"name": "features", "model": head, "input": {"size": 64}}, cnn("cnn", 2)])
    digests: dict[int, list[tuple[str, str]]] = {}
    pods: dict[int, dict[str, set[str]]] = {}
    for shards in (1, 4):
        store = f"{user.store_url}-{shards}"
        own = f"{{shards: {shards}, cpu: 300m, memory: 2Gi}}"
        resources = [f"resources.steps.{step}={own}" for step in SHARED]
        execution = user.submit(study, *(word for one in resources for word in ("--set", one)), store=store)
        indexes: dict[str, set[str]] = {step: set() for step in SHARED}

        def ended(execution: Execution = execution, indexes: dict[str, set[str]] = indexes) -> bool:
            for step, seen in indexes.items():
                for pod in api.list(PODS, f"{EXECUTION}={execution.id},{STEP}={step}")[0]:
                    seen.add(pod["metadata"]["labels"].get("batch.kubernetes.io/job-completion-index", "none"))
            return (execution.load_status() or {}).get("state") in ("succeeded", "failed")

        until(ended, f"{execution.id} ends")
        assert finished(execution)["state"] == "succeeded", execution.load_status()
        tasks, digests[shards], pods[shards] = (execution.load_plan() or {})["tasks"], [], indexes
        for name in ("extract:features", "evaluate:cnn"):
            manifest = load_manifest(execution.store, tasks[name]["step"], tasks[name]["key"])
            assert manifest is not None
            digests[shards].append((tasks[name]["key"], manifest.digest))
        no_orphans(api, execution)
    four = {"0", "1", "2", "3"}
    assert pods == {1: {"extract": {"none"}, "evaluate": {"none"}}, 4: {"extract": four, "evaluate": four | {"none"}}}
    assert digests[1] == digests[4]


def test_the_store_answers_when_the_cluster_does_not(user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Status, logs, why and report need no cluster; what needs one says what is wrong and what to do."""
    execution = user.submit(user.study("left"))
    assert finished(execution)["state"] == "succeeded"
    nowhere = tmp_path / "kubeconfig"
    text = Path(os.environ["KUBECONFIG"]).read_text()
    server = next(line for line in text.splitlines() if "server:" in line)
    nowhere.write_text(text.replace(server, server.partition("server:")[0] + "server: https://127.0.0.1:1"))
    monkeypatch.setenv("KUBECONFIG", str(nowhere))
    assert "succeeded" in user.run("status", execution.id)
    assert user.run("logs", "prepare", "--execution", execution.id)
    assert "cnn" in user.run("report", execution.id)
    assert user.run("why", execution.id)
    assert execution.id in user.run("list")
    user.run("submit", str(user.study("left")), code=75)
