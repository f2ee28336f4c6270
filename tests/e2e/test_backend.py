"""The backend on a real API server and kubelet: how Jobs end, what they wait for, and that restarts make no twins.

The tasks are small scripts in place of the steps (by the pod patch that every study may use), all started at once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tlbatch.backends import Ended
from tlbatch.backends.kubernetes import KubernetesBackend
from tlbatch.cluster import open_cluster
from tlbatch.cluster.client import JOBS, PODS
from tlbatch.manifests import DriverIdentity, Site
from tlbatch.manifests.names import TASK
from tlbatch.manifests.needs import DATA, Needs
from tlbatch.planning import Node
from tlbatch.store.directory import DirectoryStore
from tlbatch.tasks import Task

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
IMAGE = "localhost/python:3.11-slim"
TIMEOUT_S = 240.0
START_WITHIN_S = 15.0
FIRST_POD_S = 40.0
EXECUTION = "backend-20261123-0412-x7k2"
SAY = """
import json, signal, sys, time
t = time.time()
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
def say(code, sentence):
    open("/dev/termination-log", "w").write(json.dumps({"code": code, "sentence": sentence}))
    sys.exit(code)
"""


@dataclass
class Rig:
    """A backend over a namespace of its own, with Jobs whose containers run what the node's params say."""

    backend: KubernetesBackend
    tasks: dict[str, Task]
    ended: dict[str, Ended] = field(default_factory=dict)
    waits: dict[str, set[str]] = field(default_factory=dict)

    def start(self, name: str) -> None:
        self.backend.start(self.tasks[name], Node(name, "prepare", self.tasks[name].params))

    def follow(self, until: Callable[[], bool]) -> None:
        by_key = {task.key: name for name, task in self.tasks.items()}
        deadline = time.monotonic() + TIMEOUT_S
        while not until():
            assert time.monotonic() < deadline, (self.ended, self.waits)
            for end in self.backend.ended(0.5):
                self.ended[by_key[end.key]] = end
            for name, place in self.backend.places().items():
                self.waits.setdefault(name, set()).add(str(place.get("waits", "")))


def needs_of(node: Node) -> Needs:
    """The node's params as a pod patch: script, memory, image, gpu, privileged."""
    params = node.params
    container: dict[str, Any] = {"name": "step", "command": ["python3", "-c", SAY + params["script"]], "args": []}
    container["image"] = params.get("image", IMAGE)
    if "privileged" in params:
        container["securityContext"] = {"privileged": True, "allowPrivilegeEscalation": True}
    if "secret" in params:
        container["envFrom"] = [{"secretRef": {"name": params["secret"]}}]
    patch = {"securityContext": {"runAsUser": 10001}, "containers": [container]}
    memory = params.get("memory", "64Mi")
    return replace(DATA, cpu=params.get("cpu", "50m"), memory=memory, gpu=params.get("gpu", 0), scratch="64Mi", pod_patch=patch)


def scripts(now: float) -> dict[str, dict[str, Any]]:
    """Scripts that go by the clock behave one way in a first pod, another in a later one: a Job waits 10 s between."""
    return {
        "good": {"script": "print('good')"},
        "wrong-data": {"script": "say(65, 'too many bad files')"},
        "wrong-study": {"script": "say(2, 'no such layer')"},
        "bug": {"script": "raise ValueError('oops')"},
        "later": {"script": f"say(75, 'the store is away') if t < {now + 20} else say(0, 'done')"},
        "hungry": {"script": "x = bytearray(300_000_000); print(len(x))", "memory": "32Mi"},
        "evicted": {"script": f"time.sleep(2 if t > {now + FIRST_POD_S} else 600)"},
        "removed": {"script": "time.sleep(600)"},
        "sleeper": {"script": "time.sleep(599)"},
        "no-image": {"script": "1", "image": "registry.example/nobody/nothing:1"},
        "no-gpu": {"script": "2", "gpu": 64},
        "no-secret": {"script": "", "secret": "not-made"},
        "privileged": {"script": "3", "privileged": True},
        "too-big": {"script": "", "cpu": "900"},
    }


@pytest.fixture(scope="module")
def rig(cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    cluster.run("base")
    cluster.run("push", IMAGE)
    namespace = f"tlbatch-backend-{int(time.time())}"
    for document in (
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": RESTRICTED}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "tlbatch-step", "namespace": namespace}},
        owner_job(namespace),
        {**QUOTA, "metadata": {"name": "small", "namespace": namespace}},
    ):
        cluster.kubectl("create", "-f", "-", document=document)
    uid = cluster.get("job", EXECUTION, "-n", namespace)["metadata"]["uid"]
    tasks = {name: Task("prepare", params, name=name) for name, params in scripts(time.time()).items()}
    rig = Rig(open_backend(namespace, uid, tmp_path_factory.mktemp("store")), tasks)
    yield rig
    rig.backend.close()
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")


RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
QUOTA = {"apiVersion": "v1", "kind": "ResourceQuota", "spec": {"hard": {"requests.cpu": "100"}}}


def owner_job(namespace: str) -> dict[str, Any]:
    """Stands for the driver's Job: suspended, it makes no pod."""
    container = {"name": "x", "image": IMAGE}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    metadata = {"name": EXECUTION, "namespace": namespace}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"suspend": True, "template": template}}


def open_backend(namespace: str, uid: str, folder: Path) -> KubernetesBackend:
    return KubernetesBackend(
        store=DirectoryStore(folder),
        connect=lambda: open_cluster(namespace),
        site=Site("s3://nowhere/x", "localhost", namespace=namespace, secret=None),
        needs=needs_of,
        execution=EXECUTION,
        study="backend",
        owner=DriverIdentity(EXECUTION, uid),
        limit=100,
        start_within_s=START_WITHIN_S,
    )


@pytest.fixture(scope="module")
def over(rig: Rig) -> Rig:
    """All tasks started; one evicted through the eviction API, one's Job deleted; followed until those that can end have."""
    started = time.time()
    for name in rig.tasks:
        rig.start(name)
    cluster, backend = rig.backend.cluster, rig.backend
    places = backend.places
    running = lambda name: places()[name].get("phase") == "Running"  # noqa: E731
    rig.follow(lambda: running("evicted") and running("removed") and time.time() > started + FIRST_POD_S - 8)
    evict(backend, places()["evicted"]["pod"])
    cluster.delete(JOBS, places()["removed"]["job"])
    ending = {"good", "wrong-data", "wrong-study", "bug", "later", "hungry", "evicted", "removed", "no-image", "no-secret"}
    waiting = {"no-image", "no-gpu", "no-secret", "privileged", "too-big"}
    rig.follow(lambda: ending <= set(rig.ended) and all(rig.waits[name] - {""} for name in waiting))
    return rig


def evict(backend: KubernetesBackend, pod: str) -> None:
    """As ``kubectl drain`` does."""
    metadata = {"name": pod, "namespace": backend.cluster.namespace}
    backend.cluster.text(
        "POST",
        f"/api/v1/namespaces/{backend.cluster.namespace}/pods/{pod}/eviction",
        "evict",
        {},
        {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata},
    )


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("wrong-data", 65, "too many bad files"),
        ("wrong-study", 2, "no such layer"),
        ("bug", 1, "ValueError: oops"),
    ],
)
def test_what_trying_again_cannot_mend_ends_with_one_pod(over: Rig, name: str, code: int, words: str) -> None:
    end = over.ended[name]
    assert (end.code, end.final, end.sentence) == (code, True, words)


def test_a_good_end(over: Rig) -> None:
    assert over.ended["good"].code == 0


def test_come_back_later_is_tried_again_by_the_job(over: Rig) -> None:
    assert over.ended["later"].code == 0
    assert any("the store is away" in words for words in over.waits["later"])


def test_two_kills_for_memory_end_it_and_the_limit_is_named(over: Rig) -> None:
    end = over.ended["hungry"]
    assert end.final
    assert "killed for memory at its limit of 32Mi" in end.sentence
    assert "twice" in end.sentence


def test_an_eviction_costs_no_try(over: Rig) -> None:
    assert over.ended["evicted"].code == 0


def test_a_deleted_job_is_started_anew(over: Rig) -> None:
    end = over.ended["removed"]
    assert (end.code, end.final) == (143, False)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no-image", "its image registry.example/nobody/nothing:1 cannot be pulled"),
        ("no-gpu", "no node has a free GPU for it"),
        ("no-secret", 'a Secret is missing (secret "not-made" not found)'),
        ("privileged", "refused by the namespace's Pod Security"),
        ("too-big", "the namespace's quota leaves no room"),
    ],
)
def test_what_a_task_waits_for_is_said_in_a_sentence(over: Rig, name: str, words: str) -> None:
    assert any(words in said for said in over.waits[name]), over.waits[name]


def test_without_its_image_or_secret_a_task_is_given_up(over: Rig) -> None:
    for name in ("no-image", "no-secret"):
        end = over.ended[name]
        assert (end.code, end.final) == (2, True)
        assert end.sentence.endswith("given up after 0 min")
    assert not {"no-gpu", "too-big"} & set(over.ended)  # those are waited for


def test_a_driver_that_starts_anew_finds_its_children(over: Rig, tmp_path: Path) -> None:
    """Same owner: attached, no twin. Another owner (an earlier submission's): not ours, a Job of our own."""
    first = over.backend
    again = open_backend(first.cluster.namespace, first.owner.uid, tmp_path)
    node = Node("sleeper", "prepare", over.tasks["sleeper"].params)
    assert again.has_room(node)
    again.start(over.tasks["sleeper"], node)
    assert again.places()["sleeper"]["job"] == first.places()["sleeper"]["job"]
    again.close()
    jobs = [job for job in first.cluster.list(JOBS)[0] if job["metadata"].get("annotations", {}).get(TASK) == "sleeper"]
    assert len(jobs) == 1


def test_a_job_that_a_twin_made_is_taken_over(over: Rig, tmp_path: Path) -> None:
    """Created behind our back, before any watch could tell: the 409 means already there."""
    backend = over.backend
    node = Node("twin", "prepare", {"script": "print('ready', flush=True); time.sleep(598)"})
    task = Task("prepare", node.params, name="twin")
    other = open_backend(backend.cluster.namespace, backend.owner.uid, tmp_path)
    backend.start(task, node)
    other._jobs._objects.clear()
    other.start(task, node)
    assert other.places()["twin"]["job"] == backend.places()["twin"]["job"]
    other.close()


def test_stop_ends_everything_within_20_s(over: Rig) -> None:
    over.follow(lambda: over.backend.places()["twin"].get("phase") == "Running")
    pod = over.backend.places()["twin"]["pod"]
    over.follow(lambda: "ready" in over.backend.cluster.logs(pod))  # a process of number 1 is deaf until its handler stands
    started = time.monotonic()
    stopped = over.backend.stop(60.0)
    assert {end.code for end in stopped} == {143}
    deadline = time.monotonic() + 20
    while True:
        pods = [pod for pod in over.backend.cluster.list(PODS)[0] if pod["status"]["phase"] == "Running"]
        if not pods:
            break
        assert time.monotonic() < deadline, json.dumps([pod["metadata"]["name"] for pod in pods])
        time.sleep(0.5)
    assert time.monotonic() - started < 40
    names = [job["metadata"]["name"] for job in over.backend.cluster.list(JOBS)[0]]
    assert names == [EXECUTION]
