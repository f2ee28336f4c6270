"""k8s/ on a real cluster: it applies without a warning, and what it forbids is refused."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

pytestmark = pytest.mark.e2e

DRIVER = "tlbatch-driver"
S3_ROUND_TRIP = """
import boto3, botocore.exceptions, os
client = boto3.client("s3")
assert client.meta.endpoint_url == "http://s3.tlbatch.svc:9000", client.meta.endpoint_url
client.create_bucket(Bucket="tried")
client.put_object(Bucket="tried", Key="a/b", Body=b"once", IfNoneMatch="*")
try:
    client.put_object(Bucket="tried", Key="a/b", Body=b"twice", IfNoneMatch="*")
except botocore.exceptions.ClientError as error:
    kept = client.get_object(Bucket="tried", Key="a/b")["Body"].read().decode()
    print(error.response["ResponseMetadata"]["HTTPStatusCode"], kept)
"""


def kubectl(*arguments: str, document: Any = None) -> subprocess.CompletedProcess[str]:
    given = None if document is None else json.dumps(document)
    return subprocess.run(["kubectl", *arguments], input=given, capture_output=True, text=True, timeout=120, check=False)


def token_arguments(cluster: Any, namespace: str, account: str) -> list[str]:
    """kubectl options to be a service account, by its own token and nothing else."""
    config = cluster.get_config()
    token = cluster.kubectl("create", "token", account, "-n", namespace).strip()
    return [
        "--kubeconfig=/dev/null",
        f"--server={config.server}",
        f"--certificate-authority={config.authority}",
        f"--token={token}",
    ]


@pytest.mark.parametrize("overlay", ["base", "overlays/dev", "overlays/gpu"])
def test_applies_server_side_without_a_warning(namespace: str, overlay: str) -> None:
    done = kubectl("apply", "--server-side", "--dry-run=server", "-k", f"k8s/{overlay}")
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert "namespace/tlbatch" in done.stdout


def test_applies_to_an_empty_cluster_and_again(fresh_namespace: Any, cluster: Any) -> None:
    name = fresh_namespace(secret=False)
    assert cluster.get("namespace", name)["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {each["metadata"]["name"] for each in cluster.get("resourcequota", "-n", name)["items"]} == {
        "tlbatch",
        "tlbatch-driver",
    }


def test_the_driver_can_do_its_work(cluster: Any, namespace: str, pod: Any) -> None:
    driver = token_arguments(cluster, namespace, DRIVER)
    spec = pod(namespace, "localhost/any:1", ["true"])["spec"]
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "tried", "namespace": namespace}}
    created = kubectl(
        *driver,
        "create",
        "-f",
        "-",
        "--validate=false",
        document={**job, "spec": {"suspend": True, "template": {"spec": spec}}},
    )
    assert created.returncode == 0, created.stderr
    for what in (["get", "jobs"], ["get", "pods"], ["get", "events"], ["delete", "job", "tried"]):
        done = kubectl(*driver, *what, "-n", namespace)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "what",
    [
        ["get", "secrets", "-n", "tlbatch"],
        ["get", "secret", "tlbatch-s3", "-n", "tlbatch"],
        ["get", "pods", "-n", "default"],
        ["get", "jobs", "-n", "default"],
        ["get", "jobs", "-A"],
        ["get", "nodes"],
        ["get", "configmaps", "-n", "tlbatch"],
        ["create", "token", "tlbatch-driver", "-n", "tlbatch"],
        ["create", "rolebinding", "more", "--clusterrole=admin", "--serviceaccount=tlbatch:tlbatch-driver", "-n", "tlbatch"],
        ["delete", "pod", "any", "-n", "tlbatch"],
    ],
    ids=" ".join,
)
def test_the_driver_is_refused_all_else(cluster: Any, namespace: str, what: list[str]) -> None:
    done = kubectl(*token_arguments(cluster, namespace, DRIVER), *what)
    assert done.returncode != 0
    assert "forbidden" in done.stderr.lower(), done.stderr


def test_steps_have_no_token(cluster: Any, namespace: str, pod: Any) -> None:
    asked = pod(namespace, "localhost/any:1", ["true"])
    del asked["spec"]["automountServiceAccountToken"]
    for account in ("tlbatch-step", "default"):
        asked["spec"]["serviceAccountName"] = account
        admitted = json.loads(cluster.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", document=asked))
        assert [volume["name"] for volume in admitted["spec"]["volumes"]] == ["scratch"]
    step = token_arguments(cluster, namespace, "tlbatch-step")
    assert "forbidden" in kubectl(*step, "get", "pods", "-n", namespace).stderr.lower()


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        (["get", "pods", "-n", "tlbatch"], True),
        (["get", "resourcequota", "-n", "tlbatch"], True),
        (["get", "namespace", "tlbatch"], True),
        (["get", "secret", "tlbatch-s3", "-n", "tlbatch"], True),
        (["get", "nodes"], True),
        (["create", "cronjob", "x", "--image=x", "--schedule=@daily", "-n", "tlbatch", "--dry-run=server"], True),
        (["auth", "can-i", "patch", "cronjobs.batch", "-n", "tlbatch"], True),
        (["get", "secrets", "-n", "tlbatch"], False),
        (["get", "secret", "another", "-n", "tlbatch"], False),
        (["get", "pods", "-n", "kube-system"], False),
        (["delete", "namespace", "tlbatch", "--dry-run=server"], False),
        (["delete", "resourcequota", "tlbatch", "-n", "tlbatch", "--dry-run=server"], False),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_people_who_submit(namespace: str, arguments: list[str], allowed: bool) -> None:
    done = kubectl("--as=somebody", "--as-group=tlbatch-users", "--as-group=system:authenticated", *arguments)
    assert (done.returncode == 0) == allowed, done.stderr
    assert allowed or "forbidden" in done.stderr.lower()


@pytest.mark.parametrize(
    "change",
    [
        {"privileged": True},
        {"allowPrivilegeEscalation": True},
        {"runAsUser": 0},
        {"capabilities": {"drop": []}},
    ],
    ids=str,
)
def test_what_is_not_restricted_is_refused(namespace: str, pod: Any, change: dict[str, Any]) -> None:
    asked = pod(namespace, "localhost/any:1", ["true"])
    hardened = asked["spec"]["containers"][0]["securityContext"]
    asked["spec"]["containers"][0]["securityContext"] = {**hardened, **change}
    if change.get("privileged"):
        del asked["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"]
    done = kubectl("create", "--dry-run=server", "-f", "-", document=asked)
    assert done.returncode != 0
    assert 'violates PodSecurity "restricted:latest"' in done.stderr


def test_drivers_beyond_the_bound_wait_and_tasks_do_not(cluster: Any, fresh_namespace: Any, pod: Any) -> None:
    name = fresh_namespace()
    cluster.kubectl("patch", "resourcequota", DRIVER, "-n", name, "--type=merge", "-p", '{"spec": {"hard": {"pods": "1"}}}')
    driver = {**pod(name, "localhost/any:1", ["true"])}
    driver["spec"] |= {"priorityClassName": DRIVER, "schedulerName": "nobody"}
    other = pod(name, "localhost/any:1", ["true"])
    other["spec"]["schedulerName"] = "nobody"
    cluster.kubectl("create", "-f", "-", document=driver)
    driver["metadata"]["name"] += "-2"
    refused = kubectl("create", "-f", "-", document=driver)
    assert "exceeded quota: tlbatch-driver" in refused.stderr
    cluster.kubectl("create", "-f", "-", document=other)


def test_a_container_that_asks_for_nothing_gets_limits(cluster: Any, namespace: str, pod: Any) -> None:
    asked = pod(namespace, "localhost/any:1", ["true"])
    del asked["spec"]["containers"][0]["resources"]
    admitted = json.loads(cluster.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", document=asked))
    resources = admitted["spec"]["containers"][0]["resources"]
    assert resources == {"limits": {"memory": "2Gi"}, "requests": {"cpu": "100m", "memory": "256Mi"}}


def test_the_dev_s3_server_answers_pods_through_its_service(
    cluster: Any, namespace: str, dev_s3_image: str, images: Any, run_pod: Any, pod: Any
) -> None:
    cluster.kubectl("rollout", "restart", "deployment/s3", "-n", namespace)
    cluster.kubectl("rollout", "status", "deployment/s3", "-n", namespace, "--timeout=100s")
    asked = pod(namespace, images.name("launcher"), ["python", "-c", S3_ROUND_TRIP])
    asked["spec"]["containers"][0] |= {
        "envFrom": [{"secretRef": {"name": "tlbatch-s3"}}],
        "env": [{"name": "AWS_ENDPOINT_URL_S3", "value": "http://s3.tlbatch.svc:9000"}],
    }
    ended = run_pod(asked)
    assert ended.code == 0, ended.log
    assert ended.log.strip() == "412 once"
