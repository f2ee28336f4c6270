"""A claim as the cache of all tasks: on one node each file is fetched once, whichever pods read it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.user import User, cnn, finished, no_orphans, until
from tlbatch.cluster import Cluster as Api
from tlbatch.records.executions import Execution
from tlbatch.store.artifacts import Manifest, load_manifest

pytestmark = pytest.mark.e2e


@pytest.fixture
def volume(cluster: Any, namespace: str, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A claim of the namespace, bound to a folder of this node that anybody may write to; and that folder."""
    name, folder = f"cache-{secrets.token_hex(3)}", tmp_path / "volume"
    folder.mkdir()
    folder.chmod(0o777)
    shared = {"accessModes": ["ReadWriteOnce"], "storageClassName": ""}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {**shared, "capacity": {"storage": "1Gi"}, "hostPath": {"path": str(folder)}},
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {**shared, "volumeName": name, "resources": {"requests": {"storage": "1Gi"}}},
    }
    cluster.kubectl("apply", "-f", "-", document={"apiVersion": "v1", "kind": "List", "items": [volume, claim]})
    yield name, folder
    cluster.kubectl("-n", namespace, "delete", "persistentvolumeclaim", name, "--wait=false")
    cluster.kubectl("delete", "persistentvolume", name, "--wait=false")


def with_cache(user: User, claim: str) -> None:
    config = json.loads((user.folder / "config.yaml").read_text())
    config["contexts"]["e2e"]["cache"] = {"claim": claim, "size": "500Mi"}
    (user.folder / "config.yaml").write_text(json.dumps(config))


def manifests(execution: Execution) -> dict[str, Manifest]:
    tasks = (execution.load_plan() or {})["tasks"]
    found = {name: load_manifest(execution.store, name.partition(":")[0], task["key"]) for name, task in tasks.items()}
    return {name: manifest for name, manifest in found.items() if manifest is not None}


def test_pods_of_a_node_fetch_each_file_once(user: User, api: Api, volume: tuple[str, Path]) -> None:
    """Two trainings and two evaluations read one dataset. Fails when the claim is not mounted, is not writable for the pods'
    user, or when pods do not find what others fetched: then files are fetched more often than there are.
    """
    claim, folder = volume
    with_cache(user, claim)
    execution = user.submit(user.study("cached", runs=[cnn("a", 2), cnn("b", 2, lr=1e-2)]), "--set", "resources.cpu=300m")
    status = finished(execution)
    assert status["state"] == "succeeded", status
    no_orphans(api, execution)
    found = manifests(execution)
    fetched = {name: manifest.made["fetched"]["files"] for name, manifest in found.items()}
    shards = {entry.sha256 for name, entry in found["prepare"].files.items() if name.startswith("shards/")}
    kept = {path.name for path in (folder / "files").iterdir()}
    assert shards <= kept
    assert sum(fetched.values()) == len(kept), fetched
    assert fetched["finetune:a:0"] + fetched["finetune:b:0"] < 2 * len(shards), fetched
    assert list((folder / "in-use").iterdir()) == list((folder / "locks").iterdir()) == []
    assert {path.stat().st_uid for path in (folder / "files").iterdir()} == {10001}


@pytest.mark.slow
def test_a_claim_that_is_not_there_is_a_sentence(user: User, namespace: str) -> None:
    with_cache(user, "nowhere")
    found = {each["check"]: each for each in json.loads(user.run("doctor", "-o", "json", code=2))}
    assert found["cache"]["state"] == found["pod"]["state"] == "failed"
    assert "claim nowhere of the context's cache is not there" in found["cache"]["detail"]
    assert 'persistentvolumeclaim "nowhere" not found' in found["pod"]["detail"]
    user.run("submit", str(user.study("refused")), code=2)


@pytest.mark.slow
def test_a_claim_without_a_volume_is_named_by_why(cluster: Any, user: User, namespace: str) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "hollow", "namespace": namespace},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "", "resources": {"requests": {"storage": "1Gi"}}},
    }
    cluster.kubectl("apply", "-f", "-", document=claim)
    with_cache(user, "hollow")
    execution = user.submit(user.study("waiting"))
    try:
        until(lambda: "a volume of it is not to be had" in user.run("why", execution.id), "why names the volume", 60)
    finally:
        user.run("cancel", execution.id)
        cluster.kubectl("-n", namespace, "delete", "persistentvolumeclaim", "hollow", "--wait=false")
