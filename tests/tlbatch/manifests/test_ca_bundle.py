"""Certificates of one's own authority: a setting of the context, found by drivers, steps, firings and predictions alike."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tlbatch.errors import StudyError
from tlbatch.manifests import (
    Cron,
    DriverIdentity,
    Site,
    Submission,
    build_cron_job,
    build_driver_job,
    build_task_job,
    driver_needs,
    task_needs,
)
from tlbatch.manifests.predictions import build_predict_job
from tlbatch.manifests.site import checked_bundle
from tlbatch.planning import Node
from tlbatch.profiles import Profile
from tlbatch.spec import Study
from tlbatch.spec.resources import Schedule
from tlbatch.tasks import Task

BUNDLES = {
    "configmap/lab-ca": ({"configMap": {"name": "lab-ca", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}, "ca.crt"),
    "secret/lab-ca/own.pem": (
        {"secret": {"secretName": "lab-ca", "items": [{"key": "own.pem", "path": "own.pem"}]}},
        "own.pem",
    ),
}
Build = Callable[[Site], dict[str, Any]]


@pytest.fixture
def builders(study: Study, nodes: dict[str, Node], owner: DriverIdentity) -> dict[str, Build]:
    """The pod's spec of everything that is sent."""
    name, node = "pets-20261123-0412-x7k2", nodes["finetune:cnn:0"]
    task, schedule = Task(node.step, node.params, name=node.name), Schedule(cron="0 3 * * *")
    predict = Task("predict", {"out": "s3://pets/said", "files": "0" * 64})
    jobs: dict[str, Build] = {
        "driver": lambda site: build_driver_job(Submission(name, "pets"), site, driver_needs(study)),
        "step": lambda site: build_task_job(task, site, task_needs(study, node), name, "pets", owner),
        "firing": lambda site: build_cron_job(Cron("pets", schedule), site, driver_needs(study))["spec"]["jobTemplate"],
        "prediction": lambda site: build_predict_job(predict, site, task_needs(study, node), 1, "pets", "jane"),
    }
    return {kind: lambda site, build=build: build(site)["spec"]["template"]["spec"] for kind, build in jobs.items()}  # type: ignore[misc]


@pytest.mark.parametrize("kind", ["driver", "step", "firing", "prediction"])
@pytest.mark.parametrize("given", BUNDLES)
def test_every_pod_has_it_and_is_told_where(kind: str, given: str, site: Site, builders: dict[str, Build]) -> None:
    """Fails when one of the four is built without the volume, its mount or the variable."""
    source, key = BUNDLES[given]
    spec = builders[kind](replace(site, ca_bundle=checked_bundle(given)))
    (volume,) = [each for each in spec["volumes"] if each.keys() & {"configMap", "secret"}]
    assert {name: value for name, value in volume.items() if name != "name"} == source
    (container,) = spec["containers"]
    (mount,) = [each for each in container["volumeMounts"] if each["name"] == volume["name"]]
    assert mount["readOnly"]
    told = {each["name"]: each.get("value") for each in container["env"]}
    assert told["AWS_CA_BUNDLE"] == f"{mount['mountPath']}/{key}"
    plain = builders[kind](site)
    assert "AWS_CA_BUNDLE" not in {each["name"] for each in plain["containers"][0]["env"]}
    assert len(plain["volumes"]) == len(spec["volumes"]) - 1


@pytest.mark.parametrize("given", ["lab-ca", "pod/lab-ca", "configmap/", "configmap/Lab", "secret/a/b/c", "/etc/ca.pem"])
def test_what_names_none_is_a_sentence(given: str) -> None:
    with pytest.raises(StudyError, match="expected configmap/NAME or secret/NAME"):
        checked_bundle(given)


def test_a_context_says_it_for_here_and_for_pods(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what the environment says already comes first."""
    profile = Profile(
        images="r.example/x", store="s3://a/b", ca_bundle=str(tmp_path / "ca.pem"), pod_ca_bundle="configmap/lab-ca"
    )
    assert profile.site().ca_bundle == "configmap/lab-ca/ca.crt"
    assert Site.from_json(profile.site().to_json()).ca_bundle == "configmap/lab-ca/ca.crt"  # as it travels to the driver
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    profile.point_to_endpoint()
    assert os.environ["AWS_CA_BUNDLE"] == str(tmp_path / "ca.pem")
    monkeypatch.setenv("AWS_CA_BUNDLE", "/other.pem")
    profile.point_to_endpoint()
    assert os.environ["AWS_CA_BUNDLE"] == "/other.pem"
