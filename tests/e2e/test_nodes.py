"""One network trained by several pods: what one pod leaves, a killed rank included; and the pod that waits is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.e2e.user import User, cnn, finished, no_orphans, trains, until
from tlbatch.cluster import Cluster as Api
from tlbatch.cluster.client import PODS, SERVICES
from tlbatch.manifests.names import EXECUTION, STEP
from tlbatch.records.executions import Execution
from tlbatch.store.artifacts import Artifact, open_artifact

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
INDEX = "batch.kubernetes.io/job-completion-index"
SMALL = "cpu: 100m, memory: 1Gi"


def left(execution: Execution, folder: Path) -> Artifact:
    key = (execution.load_plan() or {})["tasks"]["finetune:cnn:0"]["key"]
    artifact = open_artifact(execution.store, "finetune", key, folder)
    assert artifact is not None
    return artifact


def near(one: Artifact, other: Artifact) -> None:
    assert one.manifest.key == other.manifest.key
    mine, theirs = one.read_json("validation.json"), other.read_json("validation.json")
    assert mine["ids"] == theirs["ids"]
    np.testing.assert_allclose(mine["logits"], theirs["logits"], rtol=1e-3, atol=1e-3)


def pods_of(api: Api, execution: Execution) -> dict[str, Any]:
    """By index, those that run."""
    pods = api.list(PODS, f"{EXECUTION}={execution.id},{STEP}=finetune")[0]
    return {pod["metadata"]["labels"].get(INDEX, ""): pod for pod in pods if pod["status"]["phase"] == "Running"}


def test_one_two_and_four_pods_end_where_one_does_a_killed_one_included(user: User, api: Api, tmp_path: Path) -> None:
    """Fails when pods do not find one another, when each trains alone, or when only the killed one starts again."""
    run = cnn("cnn", 40)
    run["train"] |= {"optimizer": "sgd", "lr": 0.01}
    study = user.study("nodes", runs=[run])
    artifacts = {}
    for nodes in (1, 2, 4):
        resources = f"resources.steps.finetune={{nodes: {nodes}, {SMALL}}}"
        execution = user.submit(study, "--set", resources, store=f"{user.store_url}-{nodes}")
        if nodes == 2:
            until(lambda execution=execution: trains(execution), "it trains")
            assert len(api.list(SERVICES, f"{EXECUTION}={execution.id}")[0]) == 1
            api.delete(PODS, pods_of(api, execution)["1"]["metadata"]["name"], grace_s=0)
        status = finished(execution)
        assert status["state"] == "succeeded", status
        assert (status["tasks"]["finetune:cnn:0"]["place"]["restarts"] > 0) == (nodes == 2)
        no_orphans(api, execution)
        assert api.list(SERVICES, f"{EXECUTION}={execution.id}")[0] == []
        artifacts[nodes] = left(execution, tmp_path / str(nodes))
        assert artifacts[nodes].manifest.made.get("processes", 1) == nodes
    near(artifacts[1], artifacts[2])
    near(artifacts[1], artifacts[4])


def test_why_names_the_rank_that_has_no_place(user: User) -> None:
    resources = "resources.steps.finetune={nodes: 2, cpu: 1500m, memory: 1Gi}"
    execution = user.submit(user.study("waits"), "--set", resources)
    until(lambda: "no node has room" in user.run("why", execution.id), "why says so", 120)
    assert "rank 1" in user.run("why", execution.id) or "rank 0" in user.run("why", execution.id)
    user.run("cancel", execution.id)
