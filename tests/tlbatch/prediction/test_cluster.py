"""Starting and following a prediction's Job: at work already, in the way, gone, failed; over real HTTP."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tlbatch.cluster.conftest import Scripted
from tlbatch.cluster import Cluster
from tlbatch.datasets.listing import ListedFile
from tlbatch.errors import StudyError, TlbatchError
from tlbatch.manifests import Site
from tlbatch.prediction.cluster import build_job, cancel_prediction, check_alone, check_visible, follow, start
from tlbatch.prediction.model import Chosen
from tlbatch.prediction.request import Prediction
from tlbatch.store.directory import DirectoryStore
from tlbatch.store.s3 import S3Store
from tlbatch.tasks import InputRef

FILES = tuple(ListedFile(f"{number}.jpg", 10, "e", "") for number in range(50))
LIST: dict[str, Any] = {"items": [], "metadata": {"resourceVersion": "1"}}


@pytest.fixture
def prediction(tmp_path: Path) -> Prediction:
    refs = {"model:0": InputRef("finetune", "f" * 40, "1" * 64)}
    chosen = Chosen(DirectoryStore(tmp_path / "store"), {"run": "cnn", "models": []}, refs)
    return Prediction(chosen, "s3://pets/new", DirectoryStore(tmp_path / "out"), FILES, chunk=10)


@pytest.fixture
def job(prediction: Prediction) -> dict[str, Any]:
    return build_job(prediction, Site("s3://pets/store", "images"), 9, {"gpu": None}, "jane")


def present(job: dict[str, Any], *conditions: str, **status: Any) -> dict[str, Any]:
    """The Job as the server has it."""
    said = [{"type": kind, "status": "True", "reason": "FailedIndexes", "message": "index 3 failed"} for kind in conditions]
    return {**job, "metadata": {**job["metadata"], "uid": "u-1"}, "status": {"conditions": said, **status}}


def listed(*items: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return 200, {**LIST, "items": list(items)}


def pod(code: int, sentence: str) -> dict[str, Any]:
    ended = {"exitCode": code, "finishedAt": "2026-11-25T00:00:00Z", "message": f'{{"code": {code}, "sentence": "{sentence}"}}'}
    status = {"phase": "Failed", "containerStatuses": [{"state": {"terminated": ended}}]}
    return {"metadata": {"name": "p", "creationTimestamp": "2026-11-25T00:00:00Z"}, "spec": {}, "status": status}


def test_no_more_indexes_than_parts(job: dict[str, Any]) -> None:
    assert job["spec"]["completions"] == job["spec"]["parallelism"] == 5


def test_it_is_created_once(server: Scripted, client: Callable[..., Cluster], job: dict[str, Any]) -> None:
    server.answers = [(404, {}), (201, present(job))]
    assert start(client(), job)
    assert [asked[0] for asked in server.asked] == ["GET", "POST"]
    assert server.asked[1][2] == job
    server.answers, server.asked = [(200, present(job))], []
    assert not start(client(), job)
    assert [asked[0] for asked in server.asked] == ["GET"]


@pytest.mark.parametrize("how", ["Failed", "Complete"])
def test_one_that_ended_makes_room(server: Scripted, client: Callable[..., Cluster], job: dict[str, Any], how: str) -> None:
    server.answers = [(200, present(job, how)), (200, {}), (404, {}), (201, present(job))]
    assert start(client(), job)
    assert [asked[0] for asked in server.asked] == ["GET", "DELETE", "GET", "POST"]
    assert server.asked[1][2]["preconditions"] == {"uid": "u-1"}


def test_it_is_ended_by_the_name_of_its_job(server: Scripted, client: Callable[..., Cluster], job: dict[str, Any]) -> None:
    name = job["metadata"]["name"]
    pods = [{"metadata": {"name": f"p{i}"}, "status": {"phase": how}} for i, how in enumerate(("Running", "Succeeded"))]
    server.answers = [(200, present(job)), (200, {}), listed(*pods), (200, {})]
    assert cancel_prediction(client(), name) == 1
    assert [asked[0] for asked in server.asked] == ["GET", "DELETE", "GET", "DELETE"]
    assert server.asked[1][2]["preconditions"] == {"uid": "u-1"}
    assert server.asked[3][1].endswith("/pods/p0")


def test_only_a_predictions_job_is_ended(server: Scripted, client: Callable[..., Cluster], job: dict[str, Any]) -> None:
    server.answers = [(404, {})]
    assert cancel_prediction(client(), "predict-gone") is None
    other = present(job)
    other["metadata"] = {**other["metadata"], "labels": {}}
    server.answers, server.asked = [(200, other)], []
    assert cancel_prediction(client(), "predict-by-somebody-else") is None
    assert [asked[0] for asked in server.asked] == ["GET"]


def test_two_jobs_never_write_to_one_place(server: Scripted, client: Callable[..., Cluster], job: dict[str, Any]) -> None:
    other = present(job)
    other["metadata"] = {**other["metadata"], "name": "predict-other"}
    server.answers = [listed(other)]
    with pytest.raises(StudyError, match="predict-other writes to the same place"):
        check_alone(client(), job, overwrite=False)
    assert "labelSelector=tlbatch.dev%2Fout" in server.asked[0][1]
    server.answers = [listed(present(job))]
    check_alone(client(), job, overwrite=False)
    with pytest.raises(StudyError, match="writes to the same place"):
        check_alone(client(), job, overwrite=True)
    server.answers = [listed(present(job, "Complete"))]
    check_alone(client(), job, overwrite=True)


def test_followed_to_a_failure_with_its_code_and_sentence(
    server: Scripted,
    client: Callable[..., Cluster],
    prediction: Prediction,
    job: dict[str, Any],
) -> None:
    said: list[str] = []
    server.answers = [
        (200, present(job)),
        listed(),
        (200, present(job, "Failed", failedIndexes="3")),
        listed(pod(65, "changed")),
    ]
    with pytest.raises(TlbatchError, match=r"index 3 of 5.*changed") as failed:
        follow(prediction, client(), job["metadata"]["name"], said.append, sleep=lambda seconds: None)
    assert failed.value.exit_code == 65
    assert said == ["0/5 parts done"]


def test_followed_to_its_end_or_told_that_it_is_gone(
    server: Scripted,
    client: Callable[..., Cluster],
    prediction: Prediction,
    job: dict[str, Any],
) -> None:
    server.answers = [(200, present(job, "Complete")), listed()]
    follow(prediction, client(), job["metadata"]["name"], lambda text: None)
    server.answers = [(404, {})]
    with pytest.raises(StudyError, match="is gone: the same command"):
        follow(prediction, client(), job["metadata"]["name"], lambda text: None)


def test_what_pods_cannot_see_is_named_all_at_once(prediction: Prediction, s3_bucket: str, tmp_path: Path) -> None:
    with pytest.raises(StudyError) as refused:
        check_visible(prediction)
    assert [line.partition(":")[0] for line in str(refused.value).splitlines()] == ["OUT", "the model's store"]
    store = S3Store(f"s3://{s3_bucket}/a")
    here = Chosen(store, {}, {}, weights=str(tmp_path / "w.safetensors"))
    with pytest.raises(StudyError, match=r"w\.safetensors, a file of this machine"):
        check_visible(Prediction(here, "s3://pets/new", store, FILES))
    check_visible(Prediction(Chosen(store, {}, {}, weights="store:weights/w"), "s3://pets/new", store, FILES))
