"""Retraining every night, on the cluster: real photographs in S3, a CronJob that fires every minute, a champion it defends."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.user import User, cnn, running_pod, until
from tests.tlbatch.schedules.test_webhook import Hook
from tlbatch.champions.champion import load_champion, terms
from tlbatch.cluster import Cluster as Api
from tlbatch.cluster.client import CRONJOBS, JOBS, PODS
from tlbatch.manifests.names import EXECUTION, SCHEDULE
from tlbatch.records.executions import Execution
from tlbatch.schedules.firings import CANCELLED, SKIPPED, SUCCEEDED, UNCHANGED, FiringRecord, find_firing, load_firings
from tlbatch.store import Store, open_store
from tlbatch.store.artifacts import load_manifest

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
SPLIT = "dataset.split={train: 32, validation: 16, test: 24}"
EVERY_MINUTE = "schedule={cron: '* * * * *', timezone: Asia/Shanghai, webhook: {secret: tlbatch-e2e-hook}}"
BY_HAND = "schedule={cron: '0 3 * * *', suspend: true}"
FEATURES: dict[str, Any] = {
    "name": "features",
    "model": {"backbone": "mobilenet_v2", "weights": "", "head": {"logistic": {"c": [0.1, 1.0], "folds": 3}}},
    "input": {"size": 96},
}


@pytest.fixture
def photographs(bucket: str, shared_data: Callable[[str], Path]) -> tuple[str, list[tuple[Path, str]]]:
    """72 photographs in S3, and ten more to come."""
    from tlbatch.store.s3 import open_client

    folder = f"photographs-{time.time_ns()}"
    later = []
    for label in ("cat", "dog"):
        pictures = sorted((shared_data("data/dogs-vs-cats") / label).iterdir())
        for path in pictures[:36]:
            open_client().upload_file(str(path), bucket, f"{folder}/{label}/{path.name}")
        later += [(path, f"{folder}/{label}/{path.name}") for path in pictures[36:41]]
    return f"s3://{bucket}/{folder}", later


@pytest.fixture
def hook(cluster: Any, api: Api) -> Iterator[Hook]:
    """A webhook that pods reach, its URL in a Secret."""
    import os
    from urllib.parse import urlsplit

    host = urlsplit(os.environ["AWS_ENDPOINT_URL_S3"]).hostname
    server = Hook(str(host))
    threading.Thread(target=server.serve_forever, args=(0.2,), daemon=True).start()
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tlbatch-e2e-hook", "namespace": api.namespace}}
    cluster.kubectl("apply", "-f", "-", document={**secret, "stringData": {"url": server.url}})
    yield server
    cluster.kubectl("delete", "secret", "tlbatch-e2e-hook", "-n", api.namespace)
    server.ended.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def ended(user: User, api: Api) -> Iterator[Callable[[str], str]]:
    """Names a schedule whose CronJob and Jobs are removed at the end, whatever happens."""
    names: list[str] = []

    def note(name: str) -> str:
        names.append(name)
        return name

    yield note
    for name in names:
        api.delete(CRONJOBS, name)
        for kind in (JOBS, PODS):
            for item in api.list(kind, f"{SCHEDULE}={name}")[0]:
                api.delete(kind, item["metadata"]["name"], grace_s=0)


def next_record(store: Store, name: str, known: int, state: str) -> FiringRecord:
    """The oldest record in ``state`` after the first ``known`` ones."""

    def found() -> FiringRecord | None:
        later = load_firings(store, name)[::-1][known:]
        return next((record for record in later if record.state == state), None)

    record = until(found, f"a firing of {name} is {state}")
    assert isinstance(record, FiringRecord)
    return record


def forward_passes(store: Store, record: FiringRecord, task: str) -> int:
    said = (Execution(store, record.execution).load_plan() or {})["tasks"][task]
    manifest = load_manifest(store, said["step"], said["key"])
    assert manifest is not None
    return int(manifest.made["forward_passes"])


@pytest.mark.shared
def test_every_minute_on_real_photographs(
    user: User,
    api: Api,
    photographs: tuple[str, list[tuple[Path, str]]],
    hook: Hook,
    ended: Callable[[str], str],
    bucket: str,
    shared_data: Callable[[str], Path],
) -> None:
    from tlbatch.store.s3 import open_client

    name, store = ended("nightly-pets"), open_store(user.store_url)
    url, later = photographs
    weights = shared_data("weights/mobilenet_v2_torchvision_norm.safetensors")
    user.run("weights", "mirror", str(weights), "--store", user.store_url)
    run = {**FEATURES, "model": {**FEATURES["model"], "weights": f"store:weights/{weights.name}"}}
    study = user.study(name, url=url, runs=[run])
    said = user.run("schedule", "apply", str(study), "--set", SPLIT, "--set", EVERY_MINUTE)
    assert "fires next" in said

    first = next_record(store, name, 0, SUCCEEDED)
    assert (first.trigger, first.outcome, first.serial) == ("cron", "first", 1)
    assert forward_passes(store, first, "extract:features") == 72
    champion, _ = load_champion(store, name)
    assert champion is not None
    assert champion.by == f"execution {first.execution}"

    again = next_record(store, name, 1, UNCHANGED)
    assert again.ended - again.started < 10
    assert not list(store.list(f"executions/{again.execution}/"))
    assert not api.list(PODS, f"{EXECUTION}={again.execution}")[0]
    assert not api.list(JOBS, f"{EXECUTION}={again.execution}")[0]

    for path, key in later:
        open_client().upload_file(str(path), bucket, key)
    second = until(lambda: next((r for r in load_firings(store, name) if r.state == SUCCEEDED and r.images == 82), None), "82")
    assert forward_passes(store, second, "extract:features") == 10
    assert second.outcome in ("promoted", "refused", "same")
    assert second.test["images"] == 24
    user.run("schedule", "suspend", name)
    until(lambda: not running_pod_of(api, name), "no firing runs")

    assert [got["text"].partition(".")[0] for got in hook.got] == [f"{name}: first", f"{name}: {second.outcome}"]
    assert "features" in hook.got[0]["blocks"][1]["text"]["text"]
    assert second.webhook == "sent"
    by_hand_after(user, store, name, second)
    assert store.stat(f"schedules/{name}/trend/index.html") is not None
    user.run("schedule", "delete", name)
    assert api.get(CRONJOBS, name) is None
    print(user.run("champion", "history", name))


def running_pod_of(api: Api, name: str) -> list[Any]:
    pods = api.list(PODS, f"{SCHEDULE}={name}")[0]
    return [pod for pod in pods if pod["status"]["phase"] in ("Pending", "Running")]


def by_hand_after(user: User, store: Store, name: str, second: FiringRecord) -> None:
    """Fire by hand while suspended: unchanged. Promote by hand, roll back; the history has it all."""
    execution = user.run("schedule", "trigger", name).strip()
    record = until(lambda: find_firing(store, name, execution), "the firing by hand is recorded")
    assert (record.trigger, record.state) == ("hand", UNCHANGED)
    other = 2 if second.outcome == "promoted" else 1
    user.run("champion", "promote", name, second.execution, "--run", "features")
    user.run("champion", "rollback", name)
    chain = [(term.serial, term.by.partition(" ")[0]) for term in terms(store, name)]
    assert [serial for serial, _ in chain] == list(range(other + 2, 0, -1))
    assert [by for _, by in chain[:2]] == ["rolled", "promoted"]
    firings = json.loads(user.run("schedule", "history", name, "--limit", "1000", "-o", "json"))
    assert {"first", second.outcome} <= {firing["outcome"] for firing in firings}
    assert {UNCHANGED, SUCCEEDED} <= {firing["state"] for firing in firings}
    print(user.run("schedule", "history", name))
    print(user.run("schedule", "show", name))


def test_a_drivers_pod_dies_and_the_firing_goes_on(user: User, api: Api, ended: Callable[[str], str]) -> None:
    """Killed while it trains and once more at its end: the same execution, one champion, one record."""
    name, store = ended("nightly-digits"), open_store(user.store_url)
    study = user.study(name, runs=[cnn("cnn", 600)])
    user.run("schedule", "apply", str(study), "--set", BY_HAND)
    execution = Execution(store, user.run("schedule", "trigger", name).strip())
    until(lambda: running_pod(api, execution, "finetune"), "it trains")
    driver = until(lambda: running_pod(api, execution, ""), "its driver runs")
    api.delete(PODS, driver, grace_s=0)
    until(lambda: running_pod(api, execution, "report"), "the report is made")
    driver = running_pod(api, execution, "")
    if driver:
        api.delete(PODS, driver, grace_s=0)
    record = until(lambda: find_firing(store, name, execution.id), "it is recorded")
    assert (record.state, record.outcome, record.serial) == (SUCCEEDED, "first", 1)
    assert len(terms(store, name)) == 1
    assert len(load_firings(store, name)) == 1
    user.run("schedule", "delete", name)


def test_two_triggers_at_once_one_is_skipped(user: User, api: Api, ended: Callable[[str], str]) -> None:
    name, store = ended("nightly-twice"), open_store(user.store_url)
    study = user.study(name, runs=[cnn("cnn", 300)])
    user.run("schedule", "apply", str(study), "--set", BY_HAND)
    one = user.run("schedule", "trigger", name).strip()
    until(lambda: store.stat(f"schedules/{name}/open/{one}.json"), "the first has begun")
    assert one in user.run("schedule", "show", name)
    two = user.run("schedule", "trigger", name).strip()
    second = until(lambda: find_firing(store, name, two), "the second is recorded")
    assert second.state == SKIPPED
    assert one in second.sentence
    first = until(lambda: find_firing(store, name, one), "the first is recorded")
    assert first.state == SUCCEEDED
    assert not list(store.list(f"executions/{two}/"))
    assert api.list(JOBS, f"{EXECUTION}={two}")[0][0]["status"].get("succeeded") == 1


def test_a_cancelled_firing_is_recorded_and_the_next_one_fires(user: User, api: Api, ended: Callable[[str], str]) -> None:
    name, store = ended("nightly-cancel"), open_store(user.store_url)
    user.run("schedule", "apply", str(user.study(name, runs=[cnn("cnn", 20000)])), "--set", BY_HAND)
    execution = Execution(store, user.run("schedule", "trigger", name).strip())
    until(lambda: running_pod(api, execution, "finetune"), "it trains")
    user.run("cancel", execution.id)
    record = until(lambda: find_firing(store, name, execution.id), "it is recorded", 60)
    assert record.state == CANCELLED
    assert (execution.load_status() or {})["state"] == "cancelled"
    user.run("schedule", "apply", str(user.study(name)), "--set", BY_HAND)
    user.run("schedule", "trigger", name, "--follow")
    assert [each.state for each in load_firings(store, name)] == [SUCCEEDED, CANCELLED]
