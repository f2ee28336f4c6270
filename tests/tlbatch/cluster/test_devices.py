"""What counts as a GPU, whoever made it, what of it is free, and names that no node has."""

from __future__ import annotations

from typing import Any

import pytest

from tlbatch.cluster.devices import describe, is_device, lacking, list_devices, mistaken
from tlbatch.cluster.diagnosis import explain_pod


@pytest.mark.parametrize(
    ("name", "device"),
    [
        ("nvidia.com/gpu", True),
        ("nvidia.com/gpu.shared", True),
        ("nvidia.com/mig-1g.10gb", True),
        ("amd.com/gpu", True),
        ("gpu.intel.com/i915", True),
        ("habana.ai/gaudi", True),
        ("google.com/tpu", True),
        ("aws.amazon.com/neuroncore", True),
        ("deviceclass.resource.kubernetes.io/gpu.nvidia.com", True),
        ("cpu", False),
        ("memory", False),
        ("pods", False),
        ("ephemeral-storage", False),
        ("hugepages-2Mi", False),
        ("attachable-volumes-aws-ebs", False),
        ("scheduling.kubernetes.io/foo", False),
    ],
)
def test_what_is_a_device(name: str, device: bool) -> None:
    assert is_device(name) is device


def node(**resources: str) -> dict[str, Any]:
    named = {name.replace("__", "/").replace("_", "."): amount for name, amount in resources.items()}
    return {"status": {"allocatable": {"cpu": "8", "memory": "64Gi", "pods": "110", "hugepages-1Gi": "0", **named}}}


def pod(phase: str = "Running", bound: str = "n1", **limits: str) -> dict[str, Any]:
    named = {name.replace("__", "/").replace("_", "."): amount for name, amount in limits.items()}
    return {"spec": {"nodeName": bound, "containers": [{"resources": {"limits": named}}]}, "status": {"phase": phase}}


def test_what_nodes_have_and_what_is_free() -> None:
    nodes = [node(nvidia_com__gpu="4"), node(nvidia_com__gpu="2", amd_com__gpu="0"), node(amd_com__gpu="8")]
    pods = [pod(nvidia_com__gpu="3"), pod("Succeeded", nvidia_com__gpu="2"), pod(bound="", nvidia_com__gpu="1")]
    assert describe(list_devices(nodes, pods)) == "8 amd.com/gpu (8 free), 6 nvidia.com/gpu (3 free)"
    assert describe(list_devices(nodes)) == "8 amd.com/gpu, 6 nvidia.com/gpu"
    assert describe(list_devices([node()])) == ""


def test_mig_and_a_name_that_no_node_has() -> None:
    nodes = [{"status": {"allocatable": {"nvidia.com/mig-1g.10gb": "7", "nvidia.com/mig-3g.40gb": "1"}}}]
    found = list_devices(nodes)
    assert mistaken("nvidia.com/mig-1g.10gb", found) == ""
    assert "did you mean 'nvidia.com/mig-1g.10gb'" in mistaken("nvidia.com/mig-1g.10g", found)
    assert "nvidia.com/mig-3g.40gb" in mistaken("amd.com/gpu", found)
    assert mistaken("nvidia.com/gpu", []) == ""  # no devices at all is said elsewhere


def test_devices_by_claims() -> None:
    selector = {"cel": {"expression": "device.driver == 'gpu.nvidia.com' && device.attributes['x'].y"}}
    classes = [{"metadata": {"name": "gpu.nvidia.com"}, "spec": {"selectors": [selector]}}]
    slices = [
        {"spec": {"driver": "gpu.nvidia.com", "nodeName": "a", "devices": [{"name": "gpu-0"}, {"name": "gpu-1"}]}},
        {"spec": {"driver": "other.example", "nodeName": "a", "devices": [{"name": "x"}]}},
    ]
    (device,) = list_devices([node()], [], classes, slices)
    assert (device.total, device.nodes, device.claimed) == (2, 1, True)
    assert describe([device]) == "2 deviceclass.resource.kubernetes.io/gpu.nvidia.com (by resource claims)"
    named = [{"metadata": {"name": "big"}, "spec": {"selectors": [selector], "extendedResourceName": "example.com/gpu"}}]
    assert mistaken("example.com/gpu", list_devices([node()], [], named, slices)) == ""


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("0/1 nodes are available: 1 Insufficient nvidia.com/mig-1g.10gb. preemption: none", "no node has a free GPU"),
        ("0/2 nodes are available: 2 Insufficient amd.com/gpu, 1 Insufficient cpu.", "no node has a free GPU"),
        ("0/2 nodes are available: 2 Insufficient habana.ai/gaudi.", "no node has a free GPU"),
        ("0/1 nodes are available: 1 cannot allocate all claims.", "no node has a free GPU"),
        ("0/1 nodes are available: 1 Insufficient ephemeral-storage.", "no node has room"),
        ("0/1 nodes are available: 1 Insufficient hugepages-2Mi.", "no node has room"),
        ("0/1 nodes are available: 1 node(s) had untolerated taint {a: b}.", "no node can take it"),
    ],
)
def test_why_a_pod_waits(message: str, said: str) -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    waiting = {"metadata": {"name": "p"}, "spec": {}, "status": {"phase": "Pending", "conditions": [condition]}}
    assert explain_pod(waiting).startswith(said)


def test_what_is_lacking() -> None:
    assert lacking("1 Insufficient nvidia.com/gpu, 2 Insufficient cpu.") == ["nvidia.com/gpu", "cpu"]
