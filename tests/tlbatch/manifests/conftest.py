"""A site, a study with every kind of resource, and nodes of its plan."""

from __future__ import annotations

import pytest

from tlbatch.manifests import DriverIdentity, Site
from tlbatch.planning import Node
from tlbatch.spec import Study
from tlbatch.spec.load import parse_study

STUDY = """
apiVersion: tlbatch/v1
kind: Study
name: pets
dataset: {url: s3://pets/images}
runs:
  - name: cnn
    model: {scratch: {channels: [4], dense: [8]}}
  - name: cnn-big
    model: {backbone: mobilenet_v2}
    resources: {memory: 64Gi, deadline: 1h, labels: {team: vision}}
resources:
  gpu: 1
  cpu: 8
  memory: 32Gi
  shared_memory: 1Gi
  shards: 4
  ttl: 2d
  give_up_after: 12h
  queue: gpus
  driver_queue: small
  deadline: 2d
  node_selector: {gpu: a100}
  tolerations: [{key: nvidia.com/gpu, operator: Exists}]
  image_pull_secrets: [registry]
  labels: {cost: "42"}
  parallelism: 3
  steps:
    prepare: {memory: 3Gi}
    evaluate: {cpu: 500m, gpu: 0}
"""


@pytest.fixture(scope="session")
def study() -> Study:
    return parse_study(STUDY).study


@pytest.fixture(scope="session")
def site() -> Site:
    return Site("s3://results/tl", "registry.example/team", tag="1.2.3", endpoint="http://s3.example:9000")


@pytest.fixture(scope="session")
def owner() -> DriverIdentity:
    return DriverIdentity("pets-20261123-0412-x7k2", "0f0f0f0f-1111-2222-3333-444444444444")


WHOLE = {"strategy": {"finetune": {}}}


@pytest.fixture(scope="session")
def nodes() -> dict[str, Node]:
    given = [
        Node("prepare", "prepare", {"n": 1}),
        Node("extract:cnn-big", "extract", {}, {"dataset": "prepare"}, runs=("cnn-big",)),
        Node("finetune:cnn:0", "finetune", {"strategy": "scratch"}, {"dataset": "prepare"}, runs=("cnn",)),
        Node("finetune:cnn-big:0", "finetune", {}, {"features": "extract:cnn-big"}, weight="light", runs=("cnn-big",)),
        Node("finetune:cnn-big-random:0", "finetune", WHOLE, {"dataset": "prepare"}, runs=("cnn-big-random",)),
        Node("evaluate:cnn", "evaluate", {}, {"dataset": "prepare"}, runs=("cnn",)),
        Node("report", "report", {}, weight="light"),
    ]
    return {node.name: node for node in given}
