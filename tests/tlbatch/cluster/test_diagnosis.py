"""What the cluster says, as sentences. The documents are shortened from real ones (Kubernetes 1.36), where not marked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tlbatch.cluster.diagnosis import (
    PodExit,
    explain_job,
    explain_pod,
    failed_create,
    job_ended,
    out_of_memory,
    pod_exit,
    restarts,
)
from tlbatch.manifests.names import STEP


def pod(name: str = "p", created: str = "2026-11-25T01:00:00Z", **status: Any) -> dict[str, Any]:
    spec = {"containers": [{"name": "step", "resources": {"limits": {"memory": "4Gi"}}}]}
    return {"metadata": {"name": name, "creationTimestamp": created}, "spec": spec, "status": status}


def terminated(
    code: int, message: str = "", reason: str = "Error", finished: str = "2026-11-25T01:00:09Z"
) -> list[dict[str, Any]]:
    ended = {"exitCode": code, "reason": reason, "message": message, "finishedAt": finished}
    return [{"name": "step", "restartCount": 0, "state": {"terminated": ended}}]


def waiting(reason: str, message: str) -> list[dict[str, Any]]:
    state = {"waiting": {"reason": reason, "message": message}}
    return [{"name": "step", "image": "registry.example/x:1", "restartCount": 0, "state": state}]


def condition(kind: str, status: str = "True", reason: str = "", message: str = "") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def job(*conditions: dict[str, str], labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "j", "labels": labels or {}}, "spec": spec, "status": {"conditions": list(conditions)}}


def said(code: int, sentence: str) -> str:
    return json.dumps({"code": code, "sentence": sentence})


# -- pods -------------------------------------------------------------------------------------------------------------


def test_a_steps_own_sentence_is_its_end() -> None:
    end = pod_exit(pod(phase="Failed", containerStatuses=terminated(65, said(65, "12 % of the files are bad"))))
    assert end is not None
    assert (end.code, end.explain()) == (65, "12 % of the files are bad")


def test_words_of_another_end_do_not_count() -> None:
    """A step that wrote its sentence and was then killed: the message is not about this code."""
    end = pod_exit(pod(phase="Failed", containerStatuses=terminated(137, said(143, "asked to stop"))))
    assert end is not None
    assert end.explain() == "ended by signal 9"


def test_without_words_the_last_line_of_the_log_counts() -> None:
    end = pod_exit(pod(phase="Failed", containerStatuses=terminated(1, "Traceback\nValueError: oops\n")))
    assert end is not None
    assert end.explain() == "ValueError: oops"


@pytest.mark.parametrize(
    ("step", "way"),
    [
        ("finetune", "raise resources.memory or lower train.micro_batch_size"),
        ("predict", "raise resources.memory"),
        ("prepare", "raise resources.steps.prepare.memory"),
        ("", "raise resources.driver_memory"),
    ],
)
def test_killed_for_memory_names_the_limit_and_what_to_set_for_that_step(step: str, way: str) -> None:
    killed = pod(phase="Failed", containerStatuses=terminated(137, reason="OOMKilled"))
    killed["metadata"]["labels"] = {STEP: step} if step else {}
    assert explain_pod(killed) == f"killed for memory at its limit of 4Gi: {way}"


def test_an_eviction_is_a_disruption() -> None:
    evicted = condition("DisruptionTarget", reason="EvictionByEvictionAPI", message="Eviction API: evicting")
    end = pod_exit(pod(phase="Failed", conditions=[evicted], containerStatuses=terminated(143)))
    assert end is not None
    assert end.disrupted
    assert "evicted" in end.explain()


def test_evicted_by_its_node() -> None:
    """Recorded: the kubelet's words when an emptyDir grows over its size."""
    message = 'Usage of EmptyDir volume "scratch" exceeds the limit "1Gi". '
    end = pod_exit(pod(phase="Failed", reason="Evicted", message=message, containerStatuses=terminated(137)))
    assert end is not None
    assert end.explain() == 'evicted by its node: Usage of EmptyDir volume "scratch" exceeds the limit "1Gi"'


def test_a_pod_that_is_gone_with_its_node() -> None:
    assert pod_exit(pod(phase="Failed")) == PodExit("p", 137, sentence="gone with its node")


@pytest.mark.parametrize(
    ("reason", "message", "words"),
    [
        ("ErrImagePull", "failed to pull and unpack image: not found", "its image registry.example/x:1 cannot be pulled"),
        ("ImagePullBackOff", "Back-off pulling image: ErrImagePull: not found", "(ErrImagePull: not found)"),
        ("CreateContainerConfigError", 'secret "tlbatch-s3" not found', "`tlbatch secret create`"),
        ("CreateContainerConfigError", "container has runAsNonRoot and image will run as root", "cannot start"),
    ],
)
def test_what_a_container_waits_for(reason: str, message: str, words: str) -> None:
    assert words in explain_pod(pod(phase="Pending", containerStatuses=waiting(reason, message)))


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("0/1 nodes are available: 1 Insufficient nvidia.com/gpu. no new claims to deallocate", "no node has a free GPU"),
        ("0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1", "1 Insufficient cpu)"),
        ("0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.", "node_selector"),
    ],
)
def test_what_the_scheduler_says(message: str, words: str) -> None:
    text = explain_pod(pod(phase="Pending", conditions=[condition("PodScheduled", "False", "Unschedulable", message)]))
    assert words in text
    assert "claims" not in text


def test_a_pod_that_runs_or_starts_needs_no_sentence() -> None:
    assert explain_pod(pod(phase="Running", containerStatuses=[{"name": "step", "state": {"running": {}}}])) == ""
    assert explain_pod(pod(phase="Pending", containerStatuses=waiting("ContainerCreating", ""))) == ""


# -- Jobs -------------------------------------------------------------------------------------------------------------


def test_a_job_that_used_up_its_tries() -> None:
    pods = [
        pod(f"p{i}", f"2026-11-25T01:0{i}:00Z", phase="Failed", containerStatuses=terminated(75, said(75, "away")))
        for i in range(7)
    ]
    text = explain_job(job(condition("Failed", reason="BackoffLimitExceeded", message="Job has reached…")), pods)
    assert text == "away; given up after 7 tries"


@pytest.mark.parametrize(
    "message",
    [
        '0/1 nodes are available: persistentvolumeclaim "fast" not found. not found',
        "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims. preemption: 0/2 nodes are available",
        "0/2 nodes are available: 1 node(s) had volume node affinity conflict, 1 Insufficient cpu.",
    ],
)
def test_a_volume_that_is_not_to_be_had_is_named(message: str) -> None:
    """Fails when it is taken for a matter of node selectors."""
    pod = {
        "metadata": {"name": "p"},
        "status": {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}]},
    }
    said = explain_pod(pod)
    assert said.startswith(f"a volume of it is not to be had ({message[:30]}")
    assert "the context's `cache`" in said


def test_a_job_over_its_wall_time() -> None:
    text = explain_job(job(condition("Failed", reason="DeadlineExceeded"), activeDeadlineSeconds=60), [])
    assert "60 s" in text
    assert "give_up_after" in text


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ('Error creating: pods "x-" is forbidden: exceeded quota: small, requested: requests.cpu=900', "quota leaves no room"),
        (
            'Error creating: pods "x-" is forbidden: violates PodSecurity "restricted:latest": privileged',
            'Pod Security: "restricted',
        ),
        (
            'Error creating: pods "x-" is forbidden: no PriorityClass with name tlbatch-driver was found',
            "kubectl apply -k k8s/base",
        ),
        (
            'Error creating: pods "x-" is forbidden: error looking up service account a/b: serviceaccount "b" not found',
            "k8s/base",
        ),
        ('Error creating: admission webhook "v.example" denied the request: no', "admission"),
    ],
)
def test_why_a_job_has_no_pod(message: str, words: str) -> None:
    assert words in failed_create([{"reason": "FailedCreate", "message": message}])


def recorded_by_kueue() -> list[tuple[dict[str, Any], str]]:
    """Recorded, not live: events of Workloads as real Kueue controllers of several versions wrote them."""
    text = (Path(__file__).parent / "recorded" / "kueue.json").read_text(encoding="utf-8")
    return [(each["event"], each["from"]) for each in json.loads(text)]


@pytest.mark.parametrize(("event", "source"), recorded_by_kueue())
def test_kueues_words_from_recorded_events(event: dict[str, Any], source: str) -> None:
    suspended = job(labels={"kueue.x-k8s.io/queue-name": "gpus"}, suspend=True)
    before = {
        "involvedObject": {"kind": "Job"},
        "reason": "CreatedWorkload",
        "message": "Created Workload: tlbatch/job-x-19797",
    }
    said = explain_job(suspended, [], [before, event])
    waits = event["reason"] not in ("QuotaReserved", "Admitted")
    assert said == "Kueue has not admitted it yet (queue gpus)" + (f": {event['message']}" if waits else ""), source


def test_the_newest_pod_speaks_for_the_job() -> None:
    old = pod("a", "2026-11-25T01:00:00Z", phase="Failed", containerStatuses=terminated(75, said(75, "away")))
    new = pod("b", "2026-11-25T01:01:00Z", phase="Running", containerStatuses=[{"name": "step", "state": {"running": {}}}])
    assert explain_job(job(), [new, old]) == ""
    assert restarts([old, new]) == 1


def test_how_jobs_end() -> None:
    assert job_ended(job(condition("Complete"))) == "Complete"
    assert job_ended(job(condition("SuccessCriteriaMet"))) == ""
    assert job_ended(job(condition("FailureTarget"), condition("Failed"))) == "Failed"


# -- memory, twice ----------------------------------------------------------------------------------------------------


def killed(finished: str, limit: str = "1Gi") -> PodExit:
    return PodExit("p", 137, oom=True, limit=limit, finished=finished)


def test_two_kills_end_it_unless_a_checkpoint_lies_between() -> None:
    first, second = killed("2026-11-25T01:00:00Z"), killed("2026-11-25T01:05:00Z")
    assert out_of_memory([first], "") is None
    assert out_of_memory([second, first], "") == second
    assert out_of_memory([first, second], "2026-11-25T00:59:00Z") == second
    assert out_of_memory([first, second], "2026-11-25T01:03:00Z") is None
    assert out_of_memory([first, killed("2026-11-25T01:05:00Z", "2Gi")], "") is None


# -- Jobs of several indexes ----------------------------------------------------------------------------------------------


def indexed(index: int, name: str, created: str = "2026-11-25T01:00:00Z", **status: Any) -> dict[str, Any]:
    made = pod(name, created, **status)
    made["metadata"]["labels"] = {"batch.kubernetes.io/job-completion-index": str(index)}
    return made


UNSCHEDULED = {
    "phase": "Pending",
    "conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: 1 Insufficient cpu."}
    ],
}


def test_the_rank_that_waits_is_named_however_well_the_newest_pod_is() -> None:
    """Fails when only the newest pod is looked at."""
    group = {"metadata": {"name": "j"}, "spec": {"completions": 3, "successPolicy": {}}, "status": {}}
    pods = [
        indexed(2, "c", "2026-11-25T02:00:00Z", phase="Running"),
        indexed(1, "b", **UNSCHEDULED),
        indexed(0, "a", phase="Running"),
    ]
    assert explain_job(group, pods).startswith("rank 1: no node has room for it")
    pods[1]["spec"] = {"containers": [{"resources": {"limits": {"cpu": "2", "nvidia.com/gpu": "8"}}}]}
    assert explain_job(group, pods).startswith("ranks 8 to 15: ")
    sharded = {**group, "spec": {"completions": 3}}
    assert explain_job(sharded, pods).startswith("index 1: ")
    assert restarts(pods) == 0
    assert restarts([*pods, indexed(1, "d", "2026-11-25T03:00:00Z", phase="Running")]) == 1
