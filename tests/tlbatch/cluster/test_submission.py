"""What submit sends is what render prints; what pods could not see is refused before anything is sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tlbatch.cli import main
from tlbatch.cluster.client import Cluster
from tlbatch.cluster.errors import AlreadyThereError, ClusterError
from tlbatch.cluster.submission import build_request, resume, submit, submitted_by_me
from tlbatch.credentials import secret_data, store_secret
from tlbatch.errors import StudyError
from tlbatch.manifests import Site
from tlbatch.manifests.site import CacheVolume
from tlbatch.profiles import CacheClaim, Profile
from tlbatch.records.executions import Execution
from tlbatch.spec.load import parse_study
from tlbatch.store import Store

STUDY = """
apiVersion: tlbatch/v1
kind: Study
name: pets
dataset: {url: "s3://pets/images"}
runs:
  - name: cnn
    model: {scratch: {channels: [4], dense: [8]}}
  - name: net
    model: {backbone: mobilenet_v2}
"""
SITE = Site("s3://results/tl", "registry.example/team")


class FakeCluster:
    """Keeps what is created; ``refuse`` is raised instead."""

    namespace = "tlbatch"

    def __init__(self, refuse: Exception | None = None) -> None:
        self.refuse, self.created, self.deleted = refuse, [], []
        self.jobs: dict[str, Any] = {}

    def create(self, kind: str, manifest: Any, *, dry_run: bool = False) -> Any:
        if self.refuse is not None:
            raise self.refuse
        self.created.append(manifest)
        return manifest

    def get(self, kind: str, name: str) -> Any:
        return self.jobs.get(name)

    def delete(self, kind: str, name: str, **options: Any) -> bool:
        self.deleted.append(name)
        return self.jobs.pop(name, None) is not None


def request(text: str = STUDY) -> Any:
    return build_request(parse_study(text), SITE, "pets-20261123-0412-x7k2", "jane")


def test_one_job_and_the_study_in_the_store(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TLBATCH_USER", "jane")
    cluster: Any = FakeCluster()
    execution = submit(request(), store, cluster)
    assert cluster.created == [request().job]
    assert parse_study(execution.load_study()).study == parse_study(STUDY).study
    assert submitted_by_me(store, execution.id)
    monkeypatch.setenv("TLBATCH_USER", "joe")
    assert not submitted_by_me(store, execution.id)


def test_a_claim_that_is_not_there_is_said_before_anything_is_sent(store: Store) -> None:
    """Fails when the study is put first, or when who may not look at claims cannot submit."""
    asked = build_request(parse_study(STUDY), replace(SITE, cache=CacheVolume("fast")), "pets-20261123-0412-x7k2", "jane")
    cluster: Any = FakeCluster()
    with pytest.raises(StudyError, match=r"claim fast of the context's cache is not there.*in namespace tlbatch"):
        submit(asked, store, cluster)
    assert (cluster.created, [stat.name for stat in store.list("executions/")]) == ([], [])
    cluster.jobs["fast"] = {"status": {"phase": "Pending"}}
    submit(asked, store, cluster)
    assert cluster.created == [asked.job]

    def forbidden(kind: str, name: str) -> Any:
        raise ClusterError("you may not get persistentvolumeclaims")

    cluster.get = forbidden
    submit(replace(asked, execution="pets-20261123-0413-x7k2"), store, cluster)
    assert len(cluster.created) == 2


def test_a_refusal_leaves_nothing_behind(store: Store) -> None:
    with pytest.raises(ClusterError):
        submit(request(), store, FakeCluster(ClusterError("no")))  # type: ignore[arg-type]
    assert [stat.name for stat in store.list("executions/")] == []


def test_an_answer_that_came_too_late_is_no_error(store: Store) -> None:
    cluster: Any = FakeCluster(AlreadyThereError("exists"))
    cluster.jobs["pets-20261123-0412-x7k2"] = {"metadata": {}}
    assert submit(request(), store, cluster).id == "pets-20261123-0412-x7k2"


def test_folders_and_files_of_this_machine_are_refused_all_at_once(tmp_path: Path) -> None:
    weights = tmp_path / "net.pth"
    text = STUDY.replace("s3://pets/images", str(tmp_path)).replace("mobilenet_v2}", f"mobilenet_v2, weights: {weights}}}")
    with pytest.raises(StudyError) as error:
        request(text)
    first, second = str(error.value).splitlines()
    assert first.startswith(f"dataset.url: {tmp_path} is a folder of this machine")
    assert f"tlbatch data put {tmp_path} s3://" in first
    assert second.startswith(f"runs[1].model.weights: {weights}")
    assert "tlbatch weights mirror" in second


def test_render_prints_what_submit_sends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TLBATCH_CONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("TLBATCH_IMAGES", "registry.example/team")
    monkeypatch.setenv("TLBATCH_USER", "jane")
    monkeypatch.setattr("tlbatch.cluster.submission.new_execution_id", lambda study: "pets-20261123-0412-x7k2")
    (tmp_path / "study.yaml").write_text(STUDY)
    with pytest.raises(SystemExit) as end:
        main(["render", str(tmp_path / "study.yaml"), "--store", "s3://results/tl"])
    assert end.value.code == 0
    assert yaml.safe_load(capsys.readouterr().out) == request().job


# -- resume -----------------------------------------------------------------------------------------------------------


def left(store: Store, state: str) -> Execution:
    execution = Execution(store, "pets-20261123-0412-x7k2")
    execution.save_study(STUDY)
    tasks = {
        "prepare": {"state": "done"},
        "a": {"state": "failed", "codes": [65]},
        "b": {"state": "failed"},
        "report": {"state": "blocked"},
    }
    execution.save_status({"state": state, "tasks": tasks})
    return execution


def test_resume_tries_what_failed_and_keeps_what_is_done(store: Store) -> None:
    execution = left(store, "failed")
    cluster: Any = FakeCluster()
    cluster.jobs[execution.id] = {"metadata": {"uid": "old"}, "status": {"conditions": [{"type": "Failed", "status": "True"}]}}
    resume(execution, Profile(store="s3://results/tl", images="x"), cluster, "a")
    assert cluster.deleted == [execution.id]
    assert cluster.created[0]["metadata"]["name"] == execution.id
    assert cluster.created[0]["spec"]["template"]["spec"]["containers"][0]["args"][-2:] == ["--task", "a"]
    tasks = (execution.load_status() or {})["tasks"]
    assert [tasks[name]["state"] for name in ("prepare", "a", "b", "report")] == ["done", "pending", "failed", "blocked"]
    resume(execution, Profile(store="s3://results/tl", images="x"), cluster)
    tasks = (execution.load_status() or {})["tasks"]
    assert {tasks[name]["state"] for name in ("a", "b", "report")} == {"pending"}


@pytest.mark.parametrize(("state", "words"), [("cancelled", "final"), ("succeeded", "tlbatch report")])
def test_what_is_over_is_not_resumed(store: Store, state: str, words: str) -> None:
    with pytest.raises(StudyError, match=words):
        resume(left(store, state), Profile(), FakeCluster())  # type: ignore[arg-type]


def test_what_runs_is_not_resumed(store: Store) -> None:
    execution = left(store, "running")
    cluster: Any = FakeCluster()
    cluster.jobs[execution.id] = {"metadata": {"uid": "u"}, "status": {}}
    with pytest.raises(StudyError, match="is running"):
        resume(execution, Profile(), cluster)


def test_what_would_wait_for_a_claim_for_ever_is_not_resumed(store: Store) -> None:
    execution = left(store, "failed")
    cluster: Any = FakeCluster()
    profile = Profile(store="s3://results/tl", images="x", cache=CacheClaim(claim="fast"))
    with pytest.raises(StudyError, match=r"claim fast of the context's cache is not there"):
        resume(execution, profile, cluster)
    assert (cluster.created, (execution.load_status() or {})["state"]) == ([], "failed")


@pytest.mark.parametrize(("state", "only"), [("failed", ""), ("succeeded", "a")])
def test_a_driver_that_is_just_ending_is_waited_for(
    store: Store, monkeypatch: pytest.MonkeyPatch, state: str, only: str
) -> None:
    """The store says how it ended some seconds before its Job counts as ended."""
    execution = left(store, state)
    cluster: Any = FakeCluster()
    job = cluster.jobs[execution.id] = {"metadata": {"uid": "old"}, "status": {}}

    def pass_on(_seconds: float) -> None:
        job["status"] = {"conditions": [{"type": "Failed", "status": "True"}]}

    monkeypatch.setattr("tlbatch.cluster.submission.time.sleep", pass_on)
    resume(execution, Profile(store="s3://results/tl", images="x"), cluster, only)
    assert (cluster.deleted, len(cluster.created)) == ([execution.id], 1)


# -- the Secret -------------------------------------------------------------------------------------------------------


def test_the_secret_is_made_of_the_environment() -> None:
    given = {
        "AWS_ACCESS_KEY_ID": "k",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_DEFAULT_REGION": "r",
        "AWS_ENDPOINT_URL_S3": "http://here",
    }
    data = secret_data(Profile(pod_endpoint="http://there"), given)
    assert data == {
        "AWS_ACCESS_KEY_ID": "k",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_ENDPOINT_URL_S3": "http://there",
        "AWS_REGION": "r",
        "AWS_DEFAULT_REGION": "r",
    }
    with pytest.raises(StudyError, match="AWS_SECRET_ACCESS_KEY not set"):
        secret_data(Profile(), {"AWS_ACCESS_KEY_ID": "k"})
    with pytest.raises(StudyError, match="AWS_ENDPOINT_URL_S3 holds a login") as caught:
        secret_data(Profile(), {**given, "AWS_ENDPOINT_URL_S3": "https://me:hidden@here"})
    assert "hidden" not in str(caught.value)


def test_a_secret_that_is_there_is_replaced_at_once(server: Any, client: Callable[..., Cluster]) -> None:
    """Never deleted first: a failure then would leave pods without any. Failed before."""
    server.answers = [(409, {"kind": "Status", "message": "already exists"}), (200, {"kind": "Secret"})]
    assert store_secret(client(), "tlbatch-s3", {"AWS_ACCESS_KEY_ID": "k"}) == "tlbatch-s3"
    assert [(method, path.partition("?")[0]) for method, path, _ in server.asked] == [
        ("POST", "/api/v1/namespaces/tlbatch/secrets"),
        ("PUT", "/api/v1/namespaces/tlbatch/secrets/tlbatch-s3"),
    ]
    assert server.asked[1][2]["data"] == {"AWS_ACCESS_KEY_ID": "aw=="}
