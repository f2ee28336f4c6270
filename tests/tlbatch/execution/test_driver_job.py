"""The driver in its Job: who holds an execution, which part of a plan it walks, what it ends with."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tlbatch import __version__
from tlbatch.display.progress import Display
from tlbatch.errors import Stopped, StudyError
from tlbatch.execution.driver_job import Place, check_versions, drive, exit_code, hold, part
from tlbatch.manifests import DriverIdentity, Site
from tlbatch.manifests.needs import with_limits
from tlbatch.planning import Node, Plan
from tlbatch.records.executions import Execution
from tlbatch.spec.load import parse_study
from tlbatch.store import Store
from tlbatch.store.lease import LeaseLostError, acquire_named

ENVIRONMENT = {
    "TLBATCH_JOB_NAME": "pets-1",
    "TLBATCH_JOB_UID": "u-1",
    "TLBATCH_POD": "pets-1-abcde",
    "TLBATCH_SITE": Site("s3://b/p", "registry.example/x").to_json(),
    "TLBATCH_LAUNCHER": __version__,
}
STUDY = """
apiVersion: tlbatch/v1
kind: Study
name: pets
dataset: {url: s3://pets/images}
runs: [{name: cnn, model: {scratch: {channels: [4], dense: [8]}}, resources: {deadline: 5m}}]
"""


@pytest.fixture
def place() -> Place:
    return Place.from_environment(ENVIRONMENT)


@pytest.fixture
def execution(store: Store) -> Execution:
    return Execution(store, "pets-20261123-0412-x7k2")


def never() -> bool:
    return False


def test_a_pod_knows_its_job(place: Place) -> None:
    assert (place.pod, place.identity) == ("pets-1-abcde", DriverIdentity("pets-1", "u-1"))
    with pytest.raises(StudyError, match=r"TLBATCH_POD is not set.*tlbatch submit"):
        Place.from_environment({name: value for name, value in ENVIRONMENT.items() if name != "TLBATCH_POD"})


def test_an_image_of_another_version_is_a_sentence() -> None:
    with pytest.raises(StudyError, match=rf"is tlbatch {__version__}, but tlbatch 9\.9 submitted this"):
        check_versions(Place.from_environment({**ENVIRONMENT, "TLBATCH_LAUNCHER": "9.9"}))


def test_one_driver_at_a_time(execution: Execution, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlbatch.execution.driver_job.LOOK_AGAIN_S", 0.01)
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 3

    with hold(execution, "first", never) as guard:
        guard()
        with pytest.raises(Stopped), hold(execution, "second", stop):
            pytest.fail("two drivers at once")
    with hold(execution, "second", never) as guard:  # let go: the next one goes on at once
        guard()


def test_who_loses_the_lease_learns_it(execution: Execution, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlbatch.execution.driver_job.LEASE_S", 0.3)
    with hold(execution, "first", never) as guard:
        acquire_named(execution.store, execution.name("driver.json"), "first", 30.0)  # a twin under the same name
        time.sleep(0.4)  # a heartbeat and more
        with pytest.raises(LeaseLostError, match="another driver"):
            guard()


def test_a_study_that_cannot_be_planned_fails_with_its_sentence(execution: Execution, place: Place) -> None:
    execution.save_study(STUDY.replace("cnn,", "cnn, no_such: 1,"))
    with pytest.raises(StudyError):
        drive(execution, place, Display(execution.store, quiet=True))
    status = execution.load_status() or {}
    assert status["state"] == "failed"
    assert "no_such" in status["sentence"]


def test_cancelled_before_it_began(execution: Execution, place: Place) -> None:
    execution.save_study(STUDY)
    execution.request_cancel()
    assert drive(execution, place, Display(execution.store, quiet=True)) == 0
    assert (execution.load_status() or {})["state"] == "cancelled"


def test_a_part_of_a_plan() -> None:
    nodes = [
        Node("prepare", "prepare", {}),
        Node("a", "finetune", {}, {"dataset": "prepare"}),
        Node("b", "finetune", {}, {"dataset": "prepare"}),
        Node("report", "report", {}, {"a": "a", "b": "b"}),
    ]
    plan = Plan("pets", {node.name: node for node in nodes})
    assert list(part(plan, "a").nodes) == ["prepare", "a"]
    with pytest.raises(StudyError, match="no task 'c'"):
        part(plan, "c")


def test_deadlines_are_limits_and_no_part_of_a_key() -> None:
    study = parse_study(STUDY).study
    plan = Plan("pets", {"finetune:cnn:0": Node("finetune:cnn:0", "finetune", {"x": 1}, runs=("cnn",))})
    limited = with_limits(plan, study, Site("s3://b", "x").resources())
    before: Any = plan.nodes["finetune:cnn:0"].task({})
    after: Any = limited.nodes["finetune:cnn:0"].task({})
    assert after.limits == {"deadline_s": 300}
    assert after.key == before.key


@pytest.mark.parametrize(
    ("state", "codes", "code"),
    [
        ("succeeded", [], 0),
        ("cancelled", [143], 0),
        ("failed", [137, 65], 65),
        ("failed", [137], 1),
        ("failed", [75], 1),
        ("failed", [], 1),
    ],
)
def test_a_study_that_failed_is_not_driven_again(state: str, codes: list[int], code: int) -> None:
    """Only codes that end the Job: its tasks have had their tries."""
    assert exit_code(state, codes) == code
