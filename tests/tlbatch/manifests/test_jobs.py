"""Whole objects, compared with what was written down; and that they pass Pod Security *restricted* on paper."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tlbatch import __version__
from tlbatch.manifests import (
    DriverIdentity,
    Site,
    Submission,
    build_driver_job,
    build_group_service,
    build_task_job,
    driver_needs,
    task_needs,
)
from tlbatch.manifests.names import task_job_name
from tlbatch.manifests.pods import merged
from tlbatch.planning import Node
from tlbatch.spec import Study
from tlbatch.tasks import Task

GOLDEN = Path(__file__).parent / "golden"
EXECUTION = "pets-20261123-0412-x7k2"


def equals_golden(name: str, built: dict[str, Any]) -> None:
    """Set TLBATCH_GOLDEN=write to write anew what is then to be read by a person."""
    path = GOLDEN / f"{name}.yaml"
    text = yaml.safe_dump(built, sort_keys=False).replace(f"value: {__version__}", "value: VERSION")
    text = re.sub(r"-[0-9a-f]{8}(?=\n|-0\.)", "-HASH", re.sub(r"\b[0-9a-f]{40}\b", "KEY", text))
    if os.environ.get("TLBATCH_GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


@pytest.fixture
def task_job(study: Study, site: Site, nodes: dict[str, Node], owner: DriverIdentity) -> Any:
    def build(name: str, **change: Any) -> dict[str, Any]:
        node = nodes[name]
        task = Task(node.step, node.params, name=node.name)
        needs = task_needs(study, node)
        return build_task_job(task, site, replace(needs, **change), EXECUTION, "pets", owner)

    return build


def test_the_drivers_job(study: Study, site: Site) -> None:
    submission = Submission(EXECUTION, "pets", user="jane@example.org")
    equals_golden("driver", build_driver_job(submission, site, driver_needs(study)))


def test_a_data_steps_job(task_job: Any) -> None:
    equals_golden("prepare", task_job("prepare"))


def test_a_trainings_job(task_job: Any) -> None:
    equals_golden("finetune", task_job("finetune:cnn:0"))


def test_a_sharded_extractions_job(task_job: Any) -> None:
    equals_golden("extract", task_job("extract:cnn-big"))


def test_a_prepare_shared_by_four_pods_is_the_same_job_by_index(task_job: Any) -> None:
    one, shared = task_job("prepare"), task_job("prepare", shards=4)
    args = shared["spec"]["template"]["spec"]["containers"][0]["args"]
    assert args[-2:] == ["--shard", "$(JOB_COMPLETION_INDEX)/4"]
    args[-2:] = []
    indexed = {name: shared["spec"].pop(name) for name in ("completionMode", "completions", "parallelism", "maxFailedIndexes")}
    assert indexed == {"completionMode": "Indexed", "completions": 4, "parallelism": 4, "maxFailedIndexes": 0}
    shared["spec"]["backoffLimit"] = shared["spec"].pop("backoffLimitPerIndex")
    assert shared == one


def test_a_training_by_four_pods_and_the_service_they_meet_by(task_job: Any) -> None:
    job = task_job("finetune:cnn:0", nodes=4, gpu=0, together=True)
    equals_golden("finetune-nodes", job)
    service = build_group_service({**job, "metadata": {**job["metadata"], "uid": "of-the-job"}})
    assert service is not None
    equals_golden("service", service)
    spec = job["spec"]["template"]["spec"]
    assert spec["subdomain"] == service["metadata"]["name"]
    [address] = [each["value"] for each in spec["containers"][0]["env"] if each["name"] == "MASTER_ADDR"]
    assert address == f"{job['metadata']['name']}-0.{service['metadata']['name']}"
    assert service["spec"]["selector"] == {"batch.kubernetes.io/job-name": job["metadata"]["name"]}
    assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", service["metadata"]["name"])
    assert len(service["metadata"]["name"]) <= 63


def _told(job: dict[str, Any]) -> dict[str, Any]:
    environment = job["spec"]["template"]["spec"]["containers"][0]["env"]
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in environment}


def test_a_process_for_each_gpu_which_the_pod_starts_itself(task_job: Any) -> None:
    told = _told(task_job("finetune:cnn:0", nodes=2, gpu=8, together=True))
    assert (told["WORLD_SIZE"], told["LOCAL_WORLD_SIZE"]) == ("16", "8")
    assert "job-completion-index" in told["GROUP_RANK"]["fieldRef"]["fieldPath"]
    assert not {"RANK", "LOCAL_RANK"} & told.keys()
    one = task_job("finetune:cnn:0", gpu=8, together=True)
    assert (_told(one)["WORLD_SIZE"], _told(one)["GROUP_RANK"]) == ("8", "0")
    assert not {"MASTER_ADDR", "RANK"} & _told(one).keys()
    assert "completionMode" not in one["spec"]
    assert build_group_service(one) is None


def test_one_process_is_told_nothing_of_others(task_job: Any) -> None:
    assert "WORLD_SIZE" not in _told(task_job("finetune:cnn:0", together=True, gpu=1))
    assert "WORLD_SIZE" not in _told(task_job("finetune:cnn:0", gpu=4, together=False))


def test_the_same_task_gives_the_same_object_under_the_agreed_name(task_job: Any) -> None:
    job = task_job("prepare")
    assert job == task_job("prepare")
    assert job["metadata"]["name"] == task_job_name(EXECUTION, "prepare", Task("prepare", {"n": 1}).key, 1)


def test_a_pod_patch_comes_last(task_job: Any) -> None:
    patch = {"hostNetwork": False, "containers": [{"name": "step", "env": [{"name": "X", "value": "1"}]}, {"name": "more"}]}
    spec = task_job("prepare", pod_patch=patch)["spec"]["template"]["spec"]
    assert spec["hostNetwork"] is False
    assert [container["name"] for container in spec["containers"]] == ["step", "more"]
    names = [entry["name"] for entry in spec["containers"][0]["env"]]
    assert names[-1] == "X"
    assert "HOME" in names
    whole = task_job("prepare", pod_patch={"metadata": {"labels": {"a": "b"}}})["spec"]["template"]
    assert whole["metadata"]["labels"]["a"] == "b"


def test_a_patch_removes_with_null_and_never_changes_its_base() -> None:
    base = {"a": {"b": 1, "c": 2}, "l": [1]}
    assert merged(base, {"a": {"b": None}, "l": [2]}) == {"a": {"c": 2}, "l": [2]}
    assert base == {"a": {"b": 1, "c": 2}, "l": [1]}


def test_no_object_holds_a_secret_value(task_job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")
    job = task_job("finetune:cnn:0")
    assert "hush-hush" not in json.dumps(job)
    container = job["spec"]["template"]["spec"]["containers"][0]
    assert container["envFrom"] == [{"secretRef": {"name": "tlbatch-s3"}}]


def test_without_a_secret_the_service_account_is_trusted(study: Study, nodes: dict[str, Node], owner: DriverIdentity) -> None:
    site = Site("s3://b/p", "r", secret=None)
    job = build_task_job(Task("prepare", {}, name="prepare"), site, task_needs(study, nodes["prepare"]), "e-1", "e", owner)
    assert "envFrom" not in job["spec"]["template"]["spec"]["containers"][0]


def test_a_site_travels_as_text(site: Site) -> None:
    assert Site.from_json(site.to_json()) == site
    assert Site.from_json(site.to_json()[:-1] + ',"of_tomorrow":1}') == site


def test_an_image_by_digest(site: Site) -> None:
    assert site.image("data") == "registry.example/team/tlbatch-data:1.2.3"
    assert Site("s3://b", "", tag="sha256:0").image("data") == "tlbatch-data@sha256:0"


def expanded(text: str, known: dict[str, str]) -> str:
    """What the kubelet makes of a value, an argument or a command (k8s.io/kubernetes/third_party/forked/golang/expansion)."""
    found = re.compile(r"\$(\$|\(([^)]*)\))")
    return found.sub(lambda match: "$" if match[1] == "$" else known.get(match[2], match[0]), text)


@pytest.mark.parametrize("prefix", ["a$(HOME)", "a$$b", "$", "$$(HOME)", "${HOME}", "a$(NOBODY)$"])
def test_a_pod_is_told_what_was_meant(study: Study, nodes: dict[str, Node], owner: DriverIdentity, prefix: str) -> None:
    """A store's address may hold what Kubernetes takes for a variable. Fails when it goes into a Job as it is."""
    site = Site(f"s3://results/{prefix}", "registry.example/team", endpoint="http://s3.example:9000", region=f"r{prefix}")
    task = Task(nodes["prepare"].step, nodes["prepare"].params, name="prepare")
    jobs = [
        build_task_job(task, site, task_needs(study, nodes["prepare"]), EXECUTION, "pets", owner),
        build_driver_job(Submission(EXECUTION, "pets", user="jane"), site, driver_needs(study)),
    ]
    for job in jobs:
        [container] = job["spec"]["template"]["spec"]["containers"]
        told = {each["name"]: expanded(each["value"], {"HOME": "/tmp"}) for each in container["env"] if "value" in each}
        arguments = [expanded(each, {"HOME": "/tmp"}) for each in container["args"]]
        assert any(each.startswith(site.store) for each in arguments)
        assert told["AWS_REGION"] == site.region
        if "TLBATCH_SITE" in told:
            assert json.loads(told["TLBATCH_SITE"])["store"] == site.store
    assert "TLBATCH_SITE" in told
