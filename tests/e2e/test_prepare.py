"""One dataset prepared by four pods: what one pod leaves, one that was deleted in the midst included."""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.user import User, finished, no_orphans, until
from tests.noise import noise
from tlbatch.cluster import Cluster as Api
from tlbatch.cluster.client import PODS
from tlbatch.manifests.names import EXECUTION, STEP
from tlbatch.records.executions import Execution
from tlbatch.store.artifacts import Artifact, open_artifact

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
INDEX = "batch.kubernetes.io/job-completion-index"
SMALL = "cpu: 100m, memory: 1Gi"
EACH = 60


@pytest.fixture(scope="module")
def photographs(bucket: str) -> str:
    """Noise of two megapixels, which takes a pod of a tenth of a core about a second each, and some of it twice."""
    from tlbatch.store.s3 import open_client

    client = open_client()
    chance = random.Random(4)
    for label in ("cat", "dog"):
        for number in range(EACH):
            body = io.BytesIO()
            name = f"{label}{number if chance.random() < 0.9 else 0}"
            noise(name, (1600, 1200), 40).convert("RGB").save(body, "JPEG", quality=85)
            client.put_object(Bucket=bucket, Key=f"large/{label}/{number:03d}.jpg", Body=body.getvalue())
    return f"s3://{bucket}/large"


def prepared(execution: Execution, folder: Path) -> Artifact:
    key = (execution.load_plan() or {})["tasks"]["prepare"]["key"]
    artifact = open_artifact(execution.store, "prepare", key, folder)
    assert artifact is not None
    return artifact


def reading_pod(api: Api, execution: Execution, index: str) -> str:
    """The name of the pod of an index, once it runs."""
    pods: list[dict[str, Any]] = api.list(PODS, f"{EXECUTION}={execution.id},{STEP}=prepare")[0]
    live = [pod for pod in pods if pod["metadata"]["labels"].get(INDEX) == index and pod["status"]["phase"] == "Running"]
    return str(live[0]["metadata"]["name"]) if live else ""


def test_four_pods_leave_what_one_does_with_one_deleted_while_it_reads(
    user: User, api: Api, photographs: str, tmp_path: Path
) -> None:
    """Fails when a shard's files are lost with its pod, when pods put together twice, or in the order they end in."""
    study = user.study("shared", url=photographs)
    artifacts = {}
    for shards in (1, 4):
        resources = f"resources.steps.prepare={{shards: {shards}, {SMALL}}}"
        execution = user.submit(study, "--set", resources, store=f"{user.store_url}-{shards}")
        if shards == 4:
            pod = until(lambda execution=execution: reading_pod(api, execution, "2"), "index 2 reads")
            api.delete(PODS, pod, grace_s=0)
        status = finished(execution)
        assert status["state"] == "succeeded", status
        assert (status["tasks"]["prepare"]["place"]["restarts"] > 0) == (shards == 4)
        no_orphans(api, execution)
        artifacts[shards] = prepared(execution, tmp_path / str(shards))
        left = [stat.name for stat in execution.store.list(f"work/{artifacts[shards].manifest.key}/checkpoints/")]
        assert left == []
    assert artifacts[1].manifest.key == artifacts[4].manifest.key
    assert artifacts[1].digest == artifacts[4].digest
    assert artifacts[1].manifest.made["read"] == 2 * EACH
    assert artifacts[4].manifest.made["read"] < 2 * EACH
