"""Requests, retries and refusals, over real HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tlbatch.cluster import AlreadyThereError, Cluster, ClusterError, open_cluster
from tlbatch.cluster.client import JOBS, PODS
from tlbatch.cluster.errors import GoneError, QuotaError, UnreachableError, refusal

JOB = {"metadata": {"name": "j"}}


def status(code: int, message: str) -> tuple[int, dict[str, Any]]:
    return code, {"kind": "Status", "code": code, "message": message}


def test_what_is_sent_is_what_was_built(server: Any, client: Callable[..., Cluster]) -> None:
    server.answers = [(201, JOB)]
    manifest = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}}
    assert client().create(JOBS, manifest, dry_run=True) == JOB
    assert server.asked == [("POST", "/apis/batch/v1/namespaces/tlbatch/jobs?dryRun=All", manifest)]


@pytest.mark.parametrize("code", [429, 500, 503, 0])
def test_busy_and_broken_servers_are_asked_again(server: Any, client: Callable[..., Cluster], code: int) -> None:
    server.answers = [status(code, "later"), status(code, "later"), (200, JOB)]
    cluster = client()
    assert cluster.get(JOBS, "j") == JOB
    assert cluster.requests == 3


def test_no_longer_than_the_deadline(server: Any, client: Callable[..., Cluster]) -> None:
    times = iter(range(0, 1000, 8))
    server.answers = [status(503, "starting")]
    with pytest.raises(UnreachableError, match="starting"):
        client(clock=lambda: float(next(times))).get(JOBS, "j")
    assert 2 <= len(server.asked) <= 4


def test_refusals_are_not_asked_again(server: Any, client: Callable[..., Cluster]) -> None:
    server.answers = [status(403, 'jobs.batch is forbidden: User "jane" cannot create resource "jobs"')]
    with pytest.raises(ClusterError, match=r"may not create jobs in namespace tlbatch.*rolebinding"):
        client().create(JOBS, JOB)
    assert len(server.asked) == 1


def test_a_quota_that_is_not_counted_yet_is_waited_for(server: Any, client: Callable[..., Cluster]) -> None:
    """The API server refuses (403) until the controller has counted a new namespace's, or a changed, quota."""
    server.answers = [
        status(403, 'jobs.batch "j" is forbidden: status unknown for quota: tlbatch, resources: count/jobs.batch'),
        (201, JOB),
    ]
    assert client().create(JOBS, JOB) == JOB
    assert len(server.asked) == 2


def test_absent_is_none_and_present_is_said(server: Any, client: Callable[..., Cluster]) -> None:
    server.answers = [status(404, 'jobs.batch "j" not found')]
    assert client().get(JOBS, "j") is None
    assert client().delete(JOBS, "j") is False
    server.answers = [status(409, "already exists")]
    with pytest.raises(AlreadyThereError):
        client().create(JOBS, JOB)


def test_pages_are_joined(server: Any, client: Callable[..., Cluster]) -> None:
    server.answers = [
        (200, {"metadata": {"resourceVersion": "7", "continue": "next"}, "items": [JOB]}),
        (200, {"metadata": {"resourceVersion": "7"}, "items": [JOB, JOB]}),
    ]
    items, version = client().list(PODS, "a=b")
    assert (len(items), version) == (3, "7")
    assert "continue=next" in server.asked[1][1]
    assert "labelSelector=a%3Db" in server.asked[1][1]


def test_a_watch_that_is_too_old_says_so(server: Any, client: Callable[..., Cluster]) -> None:
    server.answers = [(200, [{"type": "ADDED", "object": JOB}, {"type": "ERROR", "object": status(410, "too old")[1]}])]
    events = client().watch(JOBS, "1", "a=b", 5, lambda response: None)
    assert next(events)["type"] == "ADDED"
    with pytest.raises(GoneError):
        next(events)


@pytest.mark.parametrize(
    ("code", "message", "kind", "words"),
    [
        (401, "Unauthorized", ClusterError, "kubectl auth whoami"),
        (404, 'namespaces "tlbatch" not found', ClusterError, "kubectl apply -k"),
        (403, "exceeded quota: tlbatch, requested: count/jobs.batch=1", QuotaError, "describe resourcequota"),
        (403, "unable to create: because it is being terminated", ClusterError, "being deleted"),
        (422, "Job is invalid: spec.template", ClusterError, "Job is invalid"),
    ],
)
def test_every_refusal_is_a_sentence_with_a_way_out(code: int, message: str, kind: type[Exception], words: str) -> None:
    import json

    error = refusal(code, json.dumps({"message": message}).encode(), "create jobs", "https://c", "tlbatch")
    assert isinstance(error, kind)
    assert words in str(error)


def test_a_cluster_that_does_not_answer_is_a_sentence(server: Any, client: Callable[..., Cluster]) -> None:
    cluster = client(deadline_s=0.0)
    cluster.api.configuration.host = "http://127.0.0.1:9"
    with pytest.raises(UnreachableError, match=r"http://127.0.0.1:9 cannot be reached \(.*refused.*kubectl cluster-info"):
        cluster.get(JOBS, "j")


def test_no_kubeconfig_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    with pytest.raises(ClusterError, match="KUBECONFIG"):
        open_cluster("tlbatch")
