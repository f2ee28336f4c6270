"""Tasks of no execution as Jobs: what is sent, what stays, what is told and what `tlbatch cancel` ends. Over real HTTP."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tlbatch.cluster.conftest import Scripted, client, server  # noqa: F401 - fixtures
from tlbatch.cluster import Cluster
from tlbatch.execution.driver import Silent
from tlbatch.execution.lone_jobs import Waits, end_group, group_name, lone_backend
from tlbatch.execution.task_state import TaskState
from tlbatch.manifests import DriverIdentity, Needs, Site, build_task_job, names
from tlbatch.manifests.needs import lone_needs
from tlbatch.planning import Node
from tlbatch.records.states import RUNNING
from tlbatch.spec.resources import StudyResources
from tlbatch.store.directory import DirectoryStore
from tlbatch.tasks import Task

SITE = Site("s3://pets/store", "images")
GROUP = group_name("extend", "pets", "otter/abc")
TASK = Task("extend", {}, name="extend:0")
NEEDS = Needs(cpu="1", memory="1Gi", scratch="1Gi")


def job(**metadata: Any) -> dict[str, Any]:
    """As the server has it: at work, made by whoever asked first."""
    made = build_task_job(TASK, SITE, NEEDS, GROUP, "pets", None)
    return {**made, "metadata": {**made["metadata"], "uid": "u-1", "resourceVersion": "1", **metadata}, "status": {}}


def test_the_same_request_has_the_same_name() -> None:
    assert group_name("extend", "pets", "otter/abc") == GROUP
    assert GROUP.startswith("extend-pets-")
    assert group_name("extend", "pets", "otter/abd") != GROUP
    assert len(group_name("extend", "p" * 80, "k")) <= names.LABEL_LENGTH


def test_no_driver_owns_it_and_it_goes_by_itself() -> None:
    owned = build_task_job(TASK, SITE, NEEDS, GROUP, "pets", DriverIdentity("d", "u"))
    alone = build_task_job(TASK, SITE, NEEDS, GROUP, "pets", None)
    assert alone["spec"].pop("ttlSecondsAfterFinished") == 86400
    assert [each["uid"] for each in owned["metadata"].pop("ownerReferences")] == ["u"]
    assert alone == owned


def test_it_asks_for_what_the_context_says_of_its_step() -> None:
    steps = '"steps": {"evaluate": {"memory": "12Gi"}, "prepare": {"memory": "1Gi"}}'
    defaults = StudyResources.model_validate_json(f'{{"cpu": 4, "gpu": 1, "memory": "16Gi", "shards": 3, {steps}}}')
    extend, prepare = (lone_needs(Node(step, step, {}), defaults) for step in ("extend", "prepare"))
    assert (extend.cpu, extend.gpu, extend.memory, extend.shards) == ("4", 1, "12Gi", 1)
    assert (prepare.cpu, prepare.gpu, prepare.memory) == ("1", 0, "1Gi")


def test_a_job_that_is_at_work_is_followed_whoever_started_it(
    server: Scripted,  # noqa: F811
    client: Callable[..., Cluster],  # noqa: F811
    tmp_path: Path,
) -> None:
    listed: list[dict[str, Any]] = [job()]
    posted, deleted = [], []

    def answer(method: str, path: str, body: Any) -> tuple[int, Any]:
        if method == "POST":
            posted.append(body)
            return 201, {**body, "metadata": {**body["metadata"], "uid": "u-2", "resourceVersion": "2"}}
        if method == "DELETE":
            deleted.append(path.rpartition("/")[2])
            return 200, {}
        if "watch=1" in path:
            return 200, []
        items = listed if "/jobs" in path else []
        return 200, {"kind": "List", "metadata": {"resourceVersion": "1"}, "items": items}

    server.next = answer  # type: ignore[method-assign]
    node = Node(TASK.name, TASK.step, {})
    backend = lone_backend(DirectoryStore(tmp_path), SITE, client(), GROUP, "pets")
    backend.start(TASK, node)
    assert (posted, deleted) == ([], [])
    backend.close()
    assert deleted == [listed[0]["metadata"]["name"]], "nobody would follow it any more"
    listed[:] = [job(deletionTimestamp="2026-11-29T00:00:00Z")]
    again = lone_backend(DirectoryStore(tmp_path), SITE, client(), GROUP, "pets")
    again.start(TASK, node)
    again.close()
    assert [each["metadata"]["annotations"][names.ATTEMPT] for each in posted] == ["2"]


def test_what_a_task_waits_for_is_told_once(tmp_path: Path) -> None:
    said: list[str] = []

    class Standing:
        words = "its image is on its way"

        def places(self) -> dict[str, Any]:
            return {"extend:0": {"waits": self.words}}

    backend = Standing()
    waits = Waits(Silent(), said.append, backend)  # type: ignore[arg-type]
    for words in ("its image is on its way", "its image is on its way", "no node has a free GPU", ""):
        backend.words = words
        waits.tick([])
    assert said == ["extend:0: its image is on its way", "extend:0: no node has a free GPU"]
    waits.changed(TaskState(Node(TASK.name, TASK.step, {}), task=TASK, state=RUNNING))
    assert said[-1] == f"  its log: tlbatch logs {TASK.key[:12]}"


def test_all_of_a_request_is_ended_by_its_name(server: Scripted, client: Callable[..., Cluster]) -> None:  # noqa: F811
    empty = {"items": [], "metadata": {"resourceVersion": "1"}}
    server.answers = [(200, empty)]
    assert end_group(client(), "extend-pets-gone") is None
    assert [asked[0] for asked in server.asked] == ["GET"]
    pods = [{"metadata": {"name": "p0"}, "status": {"phase": "Running"}}]
    server.answers, server.asked = (
        [(200, {**empty, "items": [job()]}), (200, {}), (200, {**empty, "items": pods}), (200, {})],
        [],
    )
    assert end_group(client(), GROUP) == 1
    assert [asked[0] for asked in server.asked] == ["GET", "DELETE", "GET", "DELETE"]
    assert f"execution%3D{GROUP}" in server.asked[0][1]
    assert server.asked[1][2]["preconditions"] == {"uid": "u-1"}


@pytest.mark.parametrize(
    ("source", "weights", "told"),
    [
        ("photos", "store:weights/w", ["SRC: photos is a folder of this machine", "the store: "]),
        ("s3://pets/new", "/w.safetensors", ["the store: ", "its weights from /w.safetensors, a file of this machine"]),
    ],
)
def test_what_pods_cannot_see_is_refused_at_once(tmp_path: Path, source: str, weights: str, told: list[str]) -> None:
    from tlbatch.errors import StudyError
    from tlbatch.extending import check_visible
    from tlbatch.planning.extension import Extension

    nodes = (Node(TASK.name, TASK.step, {}, locations={"weights": weights}),)
    extension = Extension(None, "otter", nodes, {}, TASK)  # type: ignore[arg-type]
    with pytest.raises(StudyError) as raised:
        check_visible(extension, source, DirectoryStore(tmp_path))
    lines = str(raised.value).splitlines()
    assert len(lines) == len(told)
    assert all(words in line for words, line in zip(told, lines, strict=True))
