"""What kustomize makes of k8s/: who may do what, bounds, hardening. No cluster needed; kubectl is."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.requirements import missing
from tlbatch.manifests import Site

ROOT = Path(__file__).resolve().parents[2]
OVERLAYS = ["base", "overlays/dev", "overlays/gpu"]
SITE = Site(store="s3://bucket/store", images="localhost")
CLUSTER_WIDE = {
    "Namespace",
    "PriorityClass",
    "RuntimeClass",
    "ClusterRole",
    "ClusterRoleBinding",
    "ClusterQueue",
    "ResourceFlavor",
}

Render = Callable[[str], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def render() -> Render:
    """The objects of a folder of k8s/ (or of any folder), as kubectl renders them."""
    if shutil.which("kubectl") is None:
        missing("kubectl", "no kubectl on the PATH, which renders k8s/: install Kubernetes' command-line client")
    seen: dict[str, list[dict[str, Any]]] = {}

    def objects(folder: str) -> list[dict[str, Any]]:
        if folder not in seen:
            done = subprocess.run(
                ["kubectl", "kustomize", str(ROOT / "k8s" / folder)], capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            assert not done.stderr
            seen[folder] = list(yaml.safe_load_all(done.stdout))
        return seen[folder]

    return objects


def one(objects: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    [found] = [each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


@pytest.mark.parametrize("folder", OVERLAYS)
def test_everything_is_labelled_and_in_the_namespace(render: Render, folder: str) -> None:
    for each in render(folder):
        labels = each["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "tlbatch"
        assert labels["app.kubernetes.io/managed-by"] == "kustomize"
        namespace = each["metadata"].get("namespace")
        assert namespace == (None if each["kind"] in CLUSTER_WIDE else SITE.namespace), each["metadata"]


@pytest.mark.parametrize("folder", OVERLAYS)
def test_the_namespace_enforces_restricted(render: Render, folder: str) -> None:
    labels = one(render(folder), "Namespace", SITE.namespace)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_driver_may_do_this_and_no_more(render: Render) -> None:
    rules = one(render("base"), "Role", "tlbatch-driver")["rules"]
    granted = {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    read = {"get", "list", "watch"}
    assert granted == {
        *(("batch", "jobs", verb) for verb in read | {"create", "delete"}),
        *(("", "pods", verb) for verb in read),
        ("", "pods/log", "get"),
        ("", "services", "create"),
        *((group, "events", verb) for group in ("", "events.k8s.io") for verb in read),
    }


@pytest.mark.parametrize("folder", [*OVERLAYS, "components/kueue"])
def test_nobody_reads_all_secrets_and_no_service_account_has_cluster_wide_rights(
    render: Render, folder: str, tmp_path: Path
) -> None:
    objects = render(folder if folder in OVERLAYS else str(with_component(tmp_path, "kueue")))
    for role in (each for each in objects if each["kind"] in ("Role", "ClusterRole")):
        for rule in role["rules"]:
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            if "secrets" in rule["resources"]:
                assert rule["verbs"] == ["create"] or rule["resourceNames"] == [SITE.secret]
    for binding in (each for each in objects if each["kind"] == "ClusterRoleBinding"):
        assert {subject["kind"] for subject in binding["subjects"]} == {"Group"}


@pytest.mark.parametrize("name", ["default", SITE.driver_account, SITE.step_account])
def test_no_service_account_hands_out_tokens(render: Render, name: str) -> None:
    assert one(render("base"), "ServiceAccount", name)["automountServiceAccountToken"] is False


def test_the_number_of_drivers_is_bounded_by_their_priority_class(render: Render) -> None:
    assert SITE.driver_priority is not None
    priority = one(render("base"), "PriorityClass", SITE.driver_priority)
    assert priority["preemptionPolicy"] == "Never"
    assert priority["globalDefault"] is False
    quota = one(render("base"), "ResourceQuota", "tlbatch-driver")["spec"]
    assert quota["scopeSelector"]["matchExpressions"] == [
        {"scopeName": "PriorityClass", "operator": "In", "values": [SITE.driver_priority]}
    ]
    everybody = one(render("base"), "ResourceQuota", "tlbatch")["spec"]["hard"]
    assert int(quota["hard"]["pods"]) <= int(everybody["pods"]) // 4


def test_another_namespace_takes_the_drivers_rights_along(render: Render, tmp_path: Path) -> None:
    objects = render(str(overlay(tmp_path, "namespace: elsewhere\n")))
    [subject] = one(objects, "RoleBinding", "tlbatch-driver")["subjects"]
    assert subject == {"kind": "ServiceAccount", "name": "tlbatch-driver", "namespace": "elsewhere"}
    assert one(objects, "Namespace", "elsewhere")


def test_pods_reach_nothing_but_dns_and_s3_and_drivers_the_api(render: Render) -> None:
    policies = [each for each in render("base") if each["kind"] == "NetworkPolicy"]
    everybody = [each["spec"] for each in policies if not each["spec"]["podSelector"]]
    assert any(set(spec["policyTypes"]) == {"Ingress", "Egress"} and "egress" not in spec for spec in everybody)
    ports = {port["port"] for spec in everybody for rule in spec.get("egress", ()) for port in rule["ports"]}
    assert ports == {53, 443}
    blocks = [
        to["ipBlock"] for each in policies for rule in each["spec"].get("egress", ()) for to in rule["to"] if "ipBlock" in to
    ]
    assert all("169.254.0.0/16" in block["except"] for block in blocks if block["cidr"] == "0.0.0.0/0")


def test_the_dev_s3_server_is_hardened_and_takes_its_key_from_the_secret(render: Render) -> None:
    pod = one(render("overlays/dev"), "Deployment", "s3")["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert {entry["valueFrom"]["secretKeyRef"]["name"] for entry in container["env"]} == {SITE.secret}
    assert one(render("overlays/dev"), "Service", "s3")["spec"]["ports"][0]["port"] == 9000


@pytest.mark.parametrize("folder", OVERLAYS)
def test_no_secret_is_in_a_manifest(render: Render, folder: str) -> None:
    assert not [each for each in render(folder) if each["kind"] == "Secret"]


def test_gpu_pods_get_toleration_and_node_from_the_runtime_class(render: Render) -> None:
    scheduling = one(render("overlays/gpu"), "RuntimeClass", "tlbatch-gpu")["scheduling"]
    assert scheduling["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert "requests.nvidia.com/gpu" in one(render("overlays/gpu"), "ResourceQuota", "tlbatch")["spec"]["hard"]


def test_kueue_has_a_queue_for_tasks_and_one_for_drivers(render: Render, tmp_path: Path) -> None:
    objects = render(str(with_component(tmp_path, "kueue")))
    flavors = {each["metadata"]["name"] for each in objects if each["kind"] == "ResourceFlavor"}
    for name in ("tlbatch", "tlbatch-drivers"):
        assert one(objects, "LocalQueue", name)["spec"] == {"clusterQueue": name}
        [group] = one(objects, "ClusterQueue", name)["spec"]["resourceGroups"]
        for flavor in group["flavors"]:
            assert flavor["name"] in flavors
            assert [each["name"] for each in flavor["resources"]] == group["coveredResources"]


def overlay(folder: Path, text: str) -> Path:
    """A kustomization over k8s/base; kustomize wants relative paths."""
    up = "/".join([".."] * (len(folder.resolve().parts) - 1))
    base = f"{up}{ROOT}/k8s"
    (folder / "kustomization.yaml").write_text(f"resources: [{base}/base]\n" + text.replace("K8S", base), encoding="utf-8")
    return folder


def with_component(folder: Path, name: str) -> Path:
    return overlay(folder, f"components: [K8S/components/{name}, K8S/components/labels]\n")
