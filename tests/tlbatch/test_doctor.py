"""What doctor finds: in S3 really, of the cluster from scripted answers; the real cluster is in tests/e2e."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tlbatch.cluster.errors import UnreachableError
from tlbatch.doctor import FAILED, OK, WARNING, Finding, build_probe, compare_plugins, examine, plugin_documents, probe
from tlbatch.errors import TlbatchError
from tlbatch.manifests import Site
from tlbatch.plugins import Installed, Plugin
from tlbatch.profiles import CacheClaim, Profile
from tlbatch.store import Store

PROFILE = Profile(store="s3://b/p", images="registry.example/x")


def by_check(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.check: finding for finding in findings}


def test_a_store_is_tried_and_left_clean(store: Store) -> None:
    assert "conditional puts by 16 writers" in probe(store)
    assert list(store.list()) == []


@pytest.mark.parametrize("condition", ["if_absent", "if_match"])
def test_a_store_without_conditional_writes_is_found(store: Store, monkeypatch: pytest.MonkeyPatch, condition: str) -> None:
    put: Callable[..., str] = type(store).put

    def careless(self: Any, name: str, data: bytes, **given: Any) -> str:
        given.pop(condition, None)
        return put(self, name, data, **given)

    monkeypatch.setattr(type(store), "put", careless)
    with pytest.raises(TlbatchError, match="no conditional writes"):
        probe(store)


def test_without_a_cluster_s3_is_still_looked_at(store: Store) -> None:
    def away() -> Any:
        raise UnreachableError("the cluster cannot be reached: `kubectl cluster-info`")

    found = by_check(list(examine(PROFILE, away, lambda: store)))
    assert {name: finding.state for name, finding in found.items()} == {"cluster": FAILED, "store": OK}
    assert "kubectl cluster-info" in found["cluster"].detail


class FakeCluster:
    """A cluster where nothing is as it should be."""

    host, namespace, requests, api = "https://c", "tlbatch", 0, None

    def version(self) -> Any:
        return {"minor": "31+", "gitVersion": "v1.31.0"}

    def get(self, kind: str, name: str) -> Any:
        return {"metadata": {"labels": {}}} if kind.endswith("namespaces") else None

    def may(self, verb: str, resource: str, group: str = "") -> bool:
        return verb != "delete"

    def list(self, kind: str, labels: str = "", fields: str = "") -> Any:
        if kind.endswith("resourcequotas"):
            status = {
                "hard": {"pods": "20", "services.loadbalancers": "0"},
                "used": {"pods": "20", "services.loadbalancers": "0"},
            }
            return [{"metadata": {"name": "small"}, "status": status}], "1"
        return [{"status": {"allocatable": {"nvidia.com/mig-1g.10gb": "2"}}}], "1"


def test_every_failure_names_what_mends_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlbatch.doctor._clock", lambda cluster: iter(()))
    monkeypatch.setattr("tlbatch.doctor._clock.__name__", "_clock", raising=False)
    found = by_check(list(examine(PROFILE, FakeCluster, lambda: store, pod=False)))  # type: ignore[arg-type]
    assert {name: finding.state for name, finding in found.items()} == {
        "cluster": WARNING,
        "namespace": WARNING,
        "permissions": FAILED,
        "quota": WARNING,
        "nodes": OK,
        "gpus": WARNING,
        "secret": FAILED,
        "store": OK,
    }
    assert "delete jobs, delete pods" in found["permissions"].detail
    assert "pods 20 of 20" in found["quota"].detail
    assert "loadbalancers" not in found["quota"].detail
    assert "2 nvidia.com/mig-1g.10gb" in found["nodes"].detail
    assert "no node has nvidia.com/gpu" in found["gpus"].detail
    assert "tlbatch secret create" in found["secret"].detail


CLAIMS_FOUND: dict[str, tuple[dict[str, Any] | None, str, str]] = {
    "none": (
        None,
        FAILED,
        "claim fast of the context's cache is not there.*tlbatch context set cache=",
    ),
    "lost": ({"status": {"phase": "Lost"}}, FAILED, "has lost its volume"),
    "of one node": (
        {"spec": {"accessModes": ["ReadWriteOnce"]}, "status": {"phase": "Bound", "capacity": {"storage": "60Gi"}}},
        OK,
        "claim fast, 60Gi, ReadWriteOnce: all tasks run on the node",
    ),
    "of many": (
        {"spec": {"accessModes": ["ReadWriteMany"]}, "status": {"phase": "Bound", "capacity": {"storage": "60Gi"}}},
        OK,
        "claim fast, 60Gi$",
    ),
}


@pytest.mark.parametrize(("claim", "state", "words"), CLAIMS_FOUND.values(), ids=CLAIMS_FOUND)
def test_the_claim_of_the_cache_is_looked_at(
    claim: dict[str, Any] | None, state: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tlbatch.doctor._clock", lambda cluster: iter(()))
    monkeypatch.setattr("tlbatch.doctor._clock.__name__", "_clock", raising=False)

    class WithClaim(FakeCluster):
        def get(self, kind: str, name: str) -> Any:
            return claim if (kind, name) == ("v1/persistentvolumeclaims", "fast") else super().get(kind, name)

        def list(self, kind: str, labels: str = "", fields: str = "") -> Any:
            return [], "1"

    profile = PROFILE.model_copy(update={"cache": CacheClaim(claim="fast")})

    def away() -> Any:
        raise TlbatchError("no store")

    found = by_check(list(examine(profile, WithClaim, away, pod=False)))  # type: ignore[arg-type]
    assert found["cache"].state == state
    assert re.search(words, found["cache"].detail)


def test_the_probe_is_like_a_step() -> None:
    job = build_probe(Site("s3://b/p", "registry.example/x"), "tlbatch-doctor-1")
    spec = job["spec"]["template"]["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
    assert spec["containers"][0]["envFrom"] == [{"secretRef": {"name": "tlbatch-s3"}}]


PLUGIN, BROKEN = Plugin(), 3


def test_plugins_are_looked_at_here_and_in_the_image(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that cannot be used fails; so does one that the image lacks, or has from another source."""
    monkeypatch.setattr("tlbatch.doctor._clock", lambda cluster: iter(()))
    monkeypatch.setattr("tlbatch.doctor._clock.__name__", "_clock", raising=False)
    pets, other = (Installed(name, f"{name}-extra", "1.0", f"tests.tlbatch.test_doctor:{what}") for name, what in NAMES)
    monkeypatch.setattr("tlbatch.doctor.installed", lambda: {"pets": pets, "other": other})
    found = [each for each in examine(PROFILE, FakeCluster, lambda: store, pod=False) if each.check == "plug-in"]  # type: ignore[arg-type]
    assert [each.state for each in found] == [OK, FAILED]
    assert "other of other-extra 1.0: tests.tlbatch.test_doctor:BROKEN is no tlbatch.plugins.Plugin" in found[1].detail
    same = plugin_documents()
    assert [each.state for each in compare_plugins(same, "image")] == [OK, OK]
    changed = {"pets": {**same["pets"], "sha256": "0"}}
    found = list(compare_plugins(changed, "image"))
    assert [each.state for each in found] == [FAILED, FAILED]
    assert "or another source of it" in found[0].detail
    assert "other of other-extra 1.0 is not there (image): build the images anew with it" in found[1].detail


NAMES = (("pets", "PLUGIN"), ("other", "BROKEN"))


def test_the_probes_program_says_what_is_in_its_image(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run here: a line on the store, and one with the plug-ins that ``_pod`` compares."""
    program = build_probe(Site("s3://b/p", "registry.example/x"), "d")["spec"]["template"]["spec"]["containers"][0]["command"]
    code = next(word for word in program if "tlbatch.doctor" in word)
    monkeypatch.setattr("sys.argv", ["-c", store.url])
    exec(compile(code, "probe", "exec"), {})
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("tlbatch ")
    assert json.loads(second) == plugin_documents()
