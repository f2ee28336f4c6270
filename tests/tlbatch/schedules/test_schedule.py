"""Schedules in the store: what is applied, what was missed, pins; how they are told."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.tlbatch.schedules.pets import STUDY
from tlbatch.errors import StudyError
from tlbatch.manifests.site import CacheVolume
from tlbatch.schedules.applying import apply, apply_here, build_request, delete, suspend, trigger
from tlbatch.schedules.firing_backend import fired_by
from tlbatch.schedules.firings import (
    BEATEN,
    CRON,
    FAILED,
    HAND,
    SKIPPED,
    SUCCEEDED,
    UNCHANGED,
    FiringRecord,
    find_firing,
    last_concluded,
    load_firings,
    missed,
    save_firing,
)
from tlbatch.schedules.pins import Pins, load_pins, save_pins
from tlbatch.schedules.schedule import (
    CLUSTER,
    HERE,
    Period,
    StoredSchedule,
    is_suspended,
    load_schedule,
    next_time,
    schedule_names,
)
from tlbatch.schedules.view import cells, lines, view
from tlbatch.spec import LoadedStudy
from tlbatch.spec.load import parse_study
from tlbatch.store import ConflictError, Store
from tlbatch.store.lease import acquire_named
from tlbatch.tasks import InputRef

ZONE = ZoneInfo("Asia/Shanghai")


def at(text: str) -> float:
    """Shanghai's time, of November 2026: ``25T03:00``."""
    return datetime.fromisoformat(f"2026-11-{text}").replace(tzinfo=ZONE).timestamp()


def study(change: str = "", to: str = "") -> LoadedStudy:
    return parse_study(STUDY.replace(change, to) if change else STUDY)


def record(started: str, state: str = SUCCEEDED, scheduled: str | None = None, minutes: float = 5, **more: Any) -> FiringRecord:
    due = at(scheduled) if scheduled else None
    begun = at(started)
    execution = f"pets-{round(begun / 60)}"
    fields: dict[str, Any] = {"name": "pets", "execution": execution, "trigger": CRON if due else HAND, "scheduled": due}
    return FiringRecord(**{**fields, "started": begun, "ended": begun + 60 * minutes, "state": state, **more})


def stored(*periods: Period, where: str = CLUSTER) -> StoredSchedule:
    first = Period(at("20T12:00"), "0 3 * * *", "Asia/Shanghai", where=where)
    return StoredSchedule("pets", STUDY, first.since, first.since, where=where, periods=(first, *periods))


def days(found: list[FiringRecord]) -> list[str]:
    return [datetime.fromtimestamp(each.scheduled or 0, ZONE).strftime("%d") for each in found]


# -- missed -----------------------------------------------------------------------------------------------------------------


def test_nights_without_a_record_are_missed() -> None:
    firings = [record("21T03:00", scheduled="21T03:00"), record("24T03:01", UNCHANGED, scheduled="24T03:00")]
    found = missed(stored(), firings, None, at("26T12:00"))
    assert days(found) == ["26", "25", "23", "22"]
    assert {each.state for each in found} == {"missed"}


def test_not_yet_missed_within_the_deadline_nor_while_it_runs() -> None:
    assert days(missed(stored(), [], None, at("22T03:30"))) == ["21"]
    assert days(missed(stored(), [], at("22T03:00"), at("22T09:00"))) == ["21"]


def test_missed_because_the_firing_before_still_ran() -> None:
    hourly = StoredSchedule("pets", STUDY, 0, 0, periods=(Period(at("20T00:30"), "0 * * * *", "Asia/Shanghai"),))
    firings = [record("20T01:00", scheduled="20T01:00", minutes=150), record("20T04:00", scheduled="20T04:00")]
    found = missed(hourly, firings, None, at("20T04:10"))
    assert [(each.scheduled, each.sentence.endswith("still ran")) for each in found] == [
        (at("20T03:00"), True),
        (at("20T02:00"), True),
    ]


def test_a_firing_by_hand_makes_up_for_none_on_a_cluster_and_for_any_here() -> None:
    firings = [record("21T03:20")]
    assert days(missed(stored(), firings, None, at("21T12:00"))) == ["21"]
    assert missed(stored(where=HERE), firings, None, at("21T12:00")) == []
    assert days(missed(stored(where=HERE), [record("21T03:20", SKIPPED)], None, at("21T12:00"))) == ["21"]


def test_nothing_is_missed_while_suspended_and_other_times_count_from_their_change_on() -> None:
    rest = Period(at("22T12:00"), "0 3 * * *", "Asia/Shanghai", suspended=True)
    again = Period(at("24T12:00"), "30 6 * * *", "Asia/Shanghai")
    found = missed(stored(rest, again), [], None, at("26T12:00"))
    assert [datetime.fromtimestamp(each.started, ZONE).strftime("%d %H:%M") for each in found] == [
        "26 06:30",
        "25 06:30",
        "22 03:00",
        "21 03:00",
    ]


def test_the_controller_names_its_jobs_after_the_minute() -> None:
    assert fired_by("pets", "pets-29849460") == (CRON, 29849460 * 60.0)
    assert fired_by("pets", "pets-20261123-0412-x7k2") == (HAND, None)
    assert fired_by("pets", "other-29849460") == (HAND, None)


# -- records ------------------------------------------------------------------------------------------------------------------


def test_a_firing_is_recorded_once(store: Store) -> None:
    first = record("21T03:00", sentence="first")
    assert save_firing(store, first) == first
    assert save_firing(store, replace(first, sentence="again", started=first.started + 1)) == first
    assert load_firings(store, "pets") == [first]
    assert find_firing(store, "pets", first.execution) == first
    assert find_firing(store, "pets", "pets-2") is None


def test_the_newest_first_and_what_is_unchanged_is_held_against_what_concluded(store: Store) -> None:
    for each in (record("21T03:00"), record("22T03:00", UNCHANGED), record("23T03:00", FAILED), record("24T03:00", SKIPPED)):
        save_firing(store, each)
    assert [each.state for each in load_firings(store, "pets")] == [SKIPPED, FAILED, UNCHANGED, SUCCEEDED]
    assert [each.state for each in load_firings(store, "pets", 2)] == [SKIPPED, FAILED]
    concluded = last_concluded(store, "pets")
    assert concluded is not None
    assert concluded.state == UNCHANGED


def test_a_challenger_that_was_beaten_to_the_place_is_judged_again(store: Store) -> None:
    save_firing(store, record("21T03:00"))
    save_firing(store, replace(record("22T03:00"), outcome=BEATEN))
    assert last_concluded(store, "pets") is None


def test_pins_only_grow(store: Store) -> None:
    old, new = (InputRef("pin", letter * 40, letter * 64) for letter in "ab")
    assert load_pins(store, "pets") is None
    save_pins(store, "pets", Pins(old, 1, {1: 2}))
    save_pins(store, "pets", Pins(new, 2, {2: 1}))
    save_pins(store, "pets", Pins(old, 1, {1: 2}))  # a driver that comes late
    assert load_pins(store, "pets") == Pins(new, 2, {1: 2, 2: 1})


# -- applied ------------------------------------------------------------------------------------------------------------------


class Clusterlike:
    """The cluster as far as schedules ask for it: CronJobs by name. ``refuses``: its next answer is no."""

    namespace = "team"

    def __init__(self) -> None:
        self.cron_jobs: dict[str, dict[str, Any]] = {}
        self.jobs: list[dict[str, Any]] = []
        self.refuses = False

    def apply(self, kind: str, manifest: dict[str, Any], *, dry_run: bool = False) -> None:
        if self.refuses:
            raise StudyError("forbidden")
        metadata = {**manifest["metadata"], "uid": "u-1"}
        self.cron_jobs[manifest["metadata"]["name"]] = {**manifest, "metadata": metadata}

    def patch(self, kind: str, name: str, change: dict[str, Any]) -> Any:
        if name in self.cron_jobs:
            self.cron_jobs[name]["spec"] |= change["spec"]
        return self.cron_jobs.get(name)

    def get(self, kind: str, name: str) -> Any:
        return self.cron_jobs.get(name)

    def create(self, kind: str, manifest: dict[str, Any]) -> None:
        self.jobs.append(manifest)

    def delete(self, kind: str, name: str) -> bool:
        return self.cron_jobs.pop(name, None) is not None


@pytest.fixture
def cluster() -> Any:
    return Clusterlike()


@pytest.fixture
def site() -> Any:
    from tlbatch.manifests import Site

    return Site("s3://b/p", "registry.example/x", namespace="team")


def test_applied_again_it_keeps_its_first_day_and_starts_a_period_where_times_change(store: Store, clock: Any) -> None:
    apply_here(study(), store, clock)
    clock.advance(100)
    apply_here(study("url: s3://pets/images", "url: s3://pets/more"), store, clock)
    clock.advance(100)
    after = apply_here(study("0 3 * * *", "0 4 * * *"), store, clock)
    assert (after.applied, after.changed) == (clock.now - 200, clock.now)
    assert [(period.since, period.cron) for period in after.periods] == [
        (clock.now - 200, "0 3 * * *"),
        (clock.now, "0 4 * * *"),
    ]
    assert load_schedule(store, "pets") == after
    assert schedule_names(store) == ["pets"]


def test_applied_to_a_cluster(store: Store, site: Any, cluster: Any) -> None:
    after = apply(study(), store, site, cluster)
    assert cluster.cron_jobs["pets"]["spec"]["schedule"] == "0 3 * * *"
    assert (after.where, after.site) == (CLUSTER, {"namespace": "team"})
    with pytest.raises(StudyError, match="is on a cluster"):
        apply_here(study(), store)


def test_a_cron_job_that_is_not_ours_is_left_alone(store: Store, site: Any, cluster: Any) -> None:
    cluster.cron_jobs["pets"] = {"metadata": {"name": "pets", "labels": {"team": "x"}}, "spec": {"schedule": "@daily"}}
    with pytest.raises(StudyError, match="no schedule of tlbatch: rename the study"):
        apply(study(), store, site, cluster)
    assert cluster.cron_jobs["pets"]["spec"] == {"schedule": "@daily"}
    cluster.cron_jobs.clear()
    apply(study(), store, replace(site, store="s3://other/store"), cluster)
    with pytest.raises(
        StudyError, match=r"with store s3://other/store: `tlbatch schedule delete pets --store s3://other/store`"
    ):
        apply(study(), store, site, cluster)
    assert cluster.cron_jobs["pets"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["args"][-1].endswith(
        "other/store"
    )


def test_a_cache_whose_claim_is_not_there_is_said_before_anything_is_applied(store: Store, site: Any, cluster: Any) -> None:
    with pytest.raises(StudyError, match=r"claim fast of the context's cache is not there.*in namespace team"):
        apply(study(), store, replace(site, cache=CacheVolume("fast")), cluster)
    assert (cluster.cron_jobs, schedule_names(store)) == ({}, [])


def test_where_the_cluster_refuses_the_store_has_what_it_had(store: Store, site: Any, cluster: Any) -> None:
    cluster.refuses = True
    with pytest.raises(StudyError, match="forbidden"):
        apply(study(), store, site, cluster)
    assert schedule_names(store) == []
    cluster.refuses = False
    before = apply(study(), store, site, cluster)
    cluster.refuses = True
    with pytest.raises(StudyError, match="forbidden"):
        apply(study("0 3", "0 5"), store, site, cluster)
    assert load_schedule(store, "pets") == before


def test_what_pods_could_not_see_and_studies_without_a_schedule_are_refused(site: Any) -> None:
    with pytest.raises(StudyError, match="which pods cannot see"):
        build_request(study("s3://pets/images", "pictures"), site)
    with pytest.raises(StudyError, match="schedule: is missing"):
        build_request(parse_study(STUDY.partition("schedule:")[0]), site)


def test_suspended_and_resumed_here_and_there(store: Store, site: Any, cluster: Any, clock: Any) -> None:
    apply(study(), store, site, cluster, clock)
    clock.advance(10)
    after = suspend(store, "pets", cluster, suspended=True, clock=clock)
    assert is_suspended(after)
    assert next_time(after, clock.now) is None
    assert cluster.cron_jobs["pets"]["spec"]["suspend"] is True
    apply(study(), store, site, cluster, clock)  # applying anew does not wake it
    assert cluster.cron_jobs["pets"]["spec"]["suspend"] is True
    clock.advance(10)
    after = suspend(store, "pets", cluster, suspended=False, clock=clock)
    assert cluster.cron_jobs["pets"]["spec"]["suspend"] is False
    assert [(period.since, period.suspended) for period in after.periods] == [
        (clock.now - 20, False),
        (clock.now - 10, True),
        (clock.now, False),
    ]


def test_a_study_that_says_suspend_is_not_resumed_by_hand(store: Store) -> None:
    apply_here(study("timezone:", "suspend: true, timezone:"), store)
    with pytest.raises(StudyError, match=r"schedule\.suspend: true"):
        suspend(store, "pets", None, suspended=False)


def test_triggered_by_a_job_of_its_cron_job(store: Store, site: Any, cluster: Any) -> None:
    apply(study(), store, site, cluster)
    execution = trigger("pets", cluster, "jane")
    assert [job["metadata"]["name"] for job in cluster.jobs] == [execution]
    cluster.cron_jobs.clear()
    with pytest.raises(StudyError, match=r"no CronJob pets in namespace team.*schedule apply"):
        trigger("pets", cluster)


def test_deleted_it_leaves_its_records_and_not_while_it_fires(store: Store, site: Any, cluster: Any) -> None:
    apply(study(), store, site, cluster)
    save_firing(store, record("21T03:00"))
    lease: Any = acquire_named(store, "schedules/pets/lease.json", "pets-29849460", 30.0)
    with pytest.raises(StudyError, match="tlbatch cancel pets-29849460"):
        delete(store, "pets", cluster)
    lease.release()
    assert delete(store, "pets", cluster)
    assert (schedule_names(store), cluster.cron_jobs) == ([], {})
    assert len(load_firings(store, "pets")) == 1
    apply_here(study(), store)
    assert not delete(store, "pets", None, purge=True)
    assert load_firings(store, "pets") == []


def test_a_name_that_is_not_there(store: Store) -> None:
    apply_here(study(), store)
    with pytest.raises(StudyError, match=r"no schedule 'pet' .*did you mean 'pets'.*schedule apply"):
        load_schedule(store, "pet")


def test_changing_it_at_once_loses_neither_change(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    apply_here(study(), store)
    real, raced = store.put, []

    def put(name: str, data: bytes, **condition: Any) -> str:
        if not raced and "if_match" in condition:
            raced.append(name)
            suspend(store, "pets", None, suspended=True)
            with pytest.raises(ConflictError):
                real(name, data, **condition)
        return real(name, data, **condition)

    monkeypatch.setattr(store, "put", put)
    after = apply_here(study("0 3", "0 4"), store)
    assert after.suspended
    assert after.periods[-1].cron == "0 4 * * *"


# -- told ---------------------------------------------------------------------------------------------------------------------


def test_how_it_is_shown(store: Store) -> None:
    apply_here(study(), store, lambda: at("20T12:00"))
    two = {"accuracy": {"challenger": {"value": 0.91}, "champion": {"value": 0.9, "low": 0.85, "high": 0.95}}}
    fresh = {"images": 40, "metrics": {"accuracy": {"value": 0.88}}}
    fair = {"metric": "accuracy", "value": 0.8912, "low": 0.84, "high": 0.94}
    worn = {"test": {"version": 1, "k": 3}, "fresh": fresh, "corrected": fair}
    save_firing(store, record("21T03:01", metrics=two, outcome="promoted", sentence="better", images=96, **worn))
    save_pins(store, "pets", Pins(InputRef("pin", "a" * 40, "b" * 64), 1, {1: 2}))
    seen = view(store, "pets", at("23T12:00"))
    text = "\n".join(lines(seen, at("23T12:00")))
    assert "next firing   2026-11-24 03:00 +0800 (in 15 h)" in text
    assert "test images   version 1, asked 2 times" in text
    assert "missed        2, the last 2026-11-23 03:00 +0800" in text
    rows = [cells(each, "Asia/Shanghai", "accuracy") for each in seen.firings]
    assert [row[2] for row in rows] == ["missed", "missed", "succeeded, promoted"]
    assert rows[-1][3:8] == ["0.891", "0.9100", "0.9000", "3x", "96"]
    assert seen.to_json()["missed"] == 2


def test_a_firing_that_runs_is_shown(store: Store) -> None:
    apply_here(study(), store)
    acquire_named(store, "schedules/pets/lease.json", "pets-29849460", 30.0)
    (running,) = view(store, "pets").firings
    assert (running.execution, running.state) == ("pets-29849460", "running")
