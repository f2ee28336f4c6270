"""Firings on drawn shapes, for real: what is new is computed, one champion is defended, and a driver may die at any point."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.studies.nightly import NAME, STUDY, DeathError, Pods
from tests.studies.nights import Night
from tests.studies.shapes import draw_shapes
from tests.tlbatch.schedules.test_webhook import Hook
from tlbatch.champions.champion import crown, load_champion
from tlbatch.errors import StudyError, TransientError
from tlbatch.records.executions import Execution
from tlbatch.schedules.firing_backend import failed_code
from tlbatch.schedules.firings import FAILED, SKIPPED, SUCCEEDED, UNCHANGED
from tlbatch.store.artifacts import load_manifest
from tlbatch.store.documents import sealed
from tlbatch.store.heartbeat import beating
from tlbatch.store.lease import Lease, acquire_named

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def one_night(tmp_path_factory: pytest.TempPathFactory) -> Pods:
    """The first firing done; never fired again."""
    nights = Pods(tmp_path_factory.mktemp("nights"))
    draw_shapes(nights.images, 48)
    nights.study.write_text(STUDY)
    nights.apply()
    record = nights.here()
    assert (record.state, record.outcome) == (SUCCEEDED, "first"), record
    return nights


def copied(nights: Pods, folder: Path) -> Pods:
    shutil.copytree(nights.folder, folder)
    copy = Pods(folder)
    copy.apply()
    return copy


@pytest.fixture
def nights(one_night: Pods, tmp_path: Path) -> Pods:
    """A copy of everything after the first firing."""
    return copied(one_night, tmp_path / "nights")


@pytest.fixture(scope="session")
def walked_night(one_night: Pods, tmp_path_factory: pytest.TempPathFactory) -> Pods:
    """A second firing whose driver died when all tasks were done and nothing had followed from it; its challenger is better."""
    nights = copied(one_night, tmp_path_factory.mktemp("walked") / "nights")
    draw_shapes(nights.images, 20, first=500)
    nights.apply("runs[cnn].train.epochs=60")
    with pytest.raises(DeathError):
        nights.pod("shapes-29000002", dies_after="walking")
    return nights


@pytest.fixture
def walked(walked_night: Pods, tmp_path: Path) -> Pods:
    shutil.copytree(walked_night.folder, tmp_path / "walked")
    return Pods(tmp_path / "walked")


def test_the_first_firing_pins_crowns_and_records(one_night: Pods) -> None:
    record = one_night.firings[-1]
    assert all([record.listing, record.study, record.version])
    assert record.images == 96
    champion = one_night.champion
    assert champion is not None
    assert (champion.serial, champion.by, record.serial) == (1, f"execution {record.execution}", 1)
    assert record.metrics["accuracy"]["challenger"]["value"] == champion.metrics["accuracy"]["value"]
    pins = one_night.file("pins.json")
    assert load_manifest(one_night.opened, "pin", pins["ref"]["key"]) is not None
    assert pins["version"] == 1
    page = one_night.opened.get(f"schedules/{NAME}/trend/index.html").decode()
    assert record.execution in page or "first champion" in page
    assert one_night.opened.stat(f"executions/{record.execution}/report/index.html") is not None
    assert one_night.names(f"schedules/{NAME}/open/") == []


def test_nothing_new_ends_within_seconds_and_leaves_only_its_record(nights: Pods) -> None:
    before = set(nights.names("executions/") + nights.names("tasks/") + nights.names("artifacts/"))
    started = time.monotonic()
    record = nights.here()
    assert time.monotonic() - started < 5
    assert record.state == UNCHANGED
    assert record.serial == 1
    assert set(nights.names("executions/") + nights.names("tasks/") + nights.names("artifacts/")) == before
    assert [each.state for each in nights.firings] == [UNCHANGED, SUCCEEDED]


def test_when_it_fires_changes_nothing_what_it_promotes_does(nights: Pods, monkeypatch: pytest.MonkeyPatch) -> None:
    nights.apply('schedule.cron="30 1 * * *"', "schedule.keep_failed=9", "resources.cpu=7")
    assert nights.here().state == UNCHANGED
    nights.apply("schedule.promote=better")
    record = nights.here()
    assert (record.state, record.outcome) == (SUCCEEDED, "same")
    assert nights.serials == [1]
    monkeypatch.setattr("tlbatch.schedules.firing.__version__", "99.0")
    assert nights.here().state == SUCCEEDED


def test_new_images_train_and_never_test(nights: Pods) -> None:
    before = pinned(nights)
    draw_shapes(nights.images, 5, first=900)
    record = nights.here()
    assert record.state == SUCCEEDED
    assert record.outcome in ("promoted", "refused"), record
    assert record.images == 106
    assert pinned(nights) == before
    assert nights.file("pins.json")["uses"] == {"1": 1}
    decision = nights.decisions[0]
    assert decision["test"]["images"] == 32
    night = Night(Execution(nights.opened, record.execution))
    pins = {part: {pin["id"] for pin in night.pins[part]} for part in ("validation", "test", "fresh")}
    waiting = len(pins["fresh"])
    assert waiting < 10, "a share of a fifth of the ten, by chance of the firing: none in one night of nine"
    assert len(set.union(*pins.values())) == 16 + 32 + waiting, "what judges before it trains is not pinned too"
    if waiting:
        assert set(night.document(f"evaluate:{decision['challenger']['run']}", "fresh.json")["ids"]) == pins["fresh"]
    card = night.document("finetune:cnn:0", "card.json")
    assert card["images"] == {"train": 106 - 16 - 32 - waiting, "validation": 16}  # all others: 32 was a minimum
    assert nights.serials == ([2, 1] if record.outcome == "promoted" else [1])


def pinned(nights: Pods) -> Any:
    manifest = load_manifest(nights.opened, "pin", nights.file("pins.json")["ref"]["key"])
    assert manifest is not None
    document = json.loads(nights.opened.get(manifest.files["pins.json"].path))
    return document["validation"], document["test"]


# -- at once --------------------------------------------------------------------------------------------------------------


def test_a_second_firing_at_once_is_skipped_and_recorded(nights: Pods, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlbatch.schedules.leases.LOOK_AGAIN_S", 0.02)
    lease = acquire_named(nights.opened, f"schedules/{NAME}/lease.json", "shapes-29000001", 30.0)
    assert isinstance(lease, Lease)
    with beating(lease, 0.05, ""):
        record = nights.here()
    assert record.state == SKIPPED
    assert "shapes-29000001 holds the schedule" in record.sentence
    assert nights.firings[0] == record
    assert nights.here().state == UNCHANGED  # let go: the next one fires


TRIGGER = [sys.executable, "-m", "tlbatch", "schedule", "trigger", NAME, "--here", "-o", "json", "--store"]


def test_a_trigger_beside_a_firing_is_skipped_with_75(nights: Pods) -> None:
    lease = acquire_named(nights.opened, f"schedules/{NAME}/lease.json", "shapes-29000001", 30.0)
    assert isinstance(lease, Lease)
    with beating(lease, 0.05, ""):
        ended = subprocess.run([*TRIGGER, str(nights.folder / "store")], capture_output=True, timeout=300, check=False)
    assert (json.loads(ended.stdout)["state"], ended.returncode) == (SKIPPED, 75), ended.stderr
    assert nights.serials == [1]


def test_two_triggers_at_once_train_once(nights: Pods) -> None:
    """The later one is skipped, or waits for a first that ends between two beats of its lease: then it finds nothing new."""
    draw_shapes(nights.images, 4, first=700)
    both = [
        subprocess.Popen([*TRIGGER, str(nights.folder / "store")], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    said = [(process.communicate(timeout=300), process.returncode) for process in both]
    documents = {json.loads(out[0])["state"]: code for out, code in said}
    assert documents in ({SUCCEEDED: 0, SKIPPED: 75}, {SUCCEEDED: 0, UNCHANGED: 0}), said
    assert [each.state for each in nights.firings].count(SUCCEEDED) == 2, "the night before's and one of these"
    assert len(nights.serials) <= 2


def test_a_holder_that_died_is_waited_for_and_followed(nights: Pods, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlbatch.schedules.leases.LOOK_AGAIN_S", 0.05)
    monkeypatch.setattr("tlbatch.store.lease.SKEW_S", 0.1)
    acquire_named(nights.opened, f"schedules/{NAME}/lease.json", "shapes-29000001", 0.5)  # and nobody beats
    assert nights.here().state == UNCHANGED


# -- a driver that dies -----------------------------------------------------------------------------------------------------


def finished_once(nights: Pods) -> None:
    """The second firing was concluded, once."""
    assert nights.serials == [2, 1]
    assert [(each.execution, each.outcome) for each in nights.firings if each.execution == "shapes-29000002"] == [
        ("shapes-29000002", "promoted")
    ]
    assert [each["outcome"] for each in nights.decisions] == ["promoted", "first"]
    assert nights.file("pins.json")["uses"] == {"1": 1}
    assert nights.names(f"schedules/{NAME}/open/") == []
    record = nights.firings[0]
    assert record.serial == 2
    assert record.metrics["accuracy"]["challenger"]["value"] > record.metrics["accuracy"]["champion"]["value"]


@pytest.mark.parametrize("point", ["apply_decision", "crown", "save_pins", "save_firing", "draw_trend_page", "close_firing"])
@pytest.mark.parametrize("side", ["before", "after"])
def test_the_next_pod_promotes_once(walked: Pods, monkeypatch: pytest.MonkeyPatch, point: str, side: str) -> None:
    module = "tlbatch.champions.decisions" if point == "crown" else "tlbatch.schedules.concluding"
    real = getattr(sys.modules[module], point)

    def dies(*arguments: Any, **named: Any) -> Any:
        if side == "after":
            real(*arguments, **named)
        raise DeathError

    with monkeypatch.context() as patch:
        patch.setattr(f"{module}.{point}", dies)
        with pytest.raises(DeathError):
            walked.pod("shapes-29000002")
    draw_shapes(walked.images, 3, first=800)  # the data may have gone on meanwhile: the next firing's business
    walked.pod("shapes-29000002")
    finished_once(walked)
    walked.images.rename(walked.folder / "away")
    walked.pod("shapes-29000002")  # nothing is left to do: it looks at no data
    finished_once(walked)


def test_the_trend_shows_missed_nights(nights: Pods) -> None:
    stored = nights.file("schedule.json")
    stored["periods"] = [{**stored["periods"][-1], "since": time.time() - 3 * 86400}]
    nights.opened.put(f"schedules/{NAME}/schedule.json", sealed(stored))
    nights.here()
    page = nights.opened.get(f"schedules/{NAME}/trend/index.html").decode()
    assert page.count("cluster or machine were away") >= 2


def test_the_next_firing_finishes_what_was_left(walked: Pods) -> None:
    record = walked.pod("shapes-29000003")
    assert record.state == UNCHANGED
    assert walked.serials == [2, 1]
    assert [(each.execution, each.state) for each in walked.firings[:2]] == [
        ("shapes-29000003", UNCHANGED),
        ("shapes-29000002", SUCCEEDED),
    ]


def test_a_champion_changed_by_hand_meanwhile_is_not_overthrown(walked: Pods) -> None:
    present, etag = load_champion(walked.opened, NAME)
    assert present is not None
    crown(walked.opened, replace(present, serial=2, before=1, by="promoted by jane"), etag)
    record = walked.pod("shapes-29000002")
    assert record.outcome == "beaten"
    assert walked.serials == [2, 1]
    assert walked.champion is not None
    assert walked.champion.by == "promoted by jane"
    assert "not crowned" in record.sentence


def training(nights: Pods, command: list[str]) -> subprocess.Popen[bytes]:
    """A firing that trains."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not any("/checkpoints/" in name for name in nights.names("work/")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return process


def test_ctrl_c_ends_a_firing_here_and_is_recorded(nights: Pods) -> None:
    draw_shapes(nights.images, 6, first=600)
    nights.apply("runs[cnn].train.epochs=3000")
    command = [sys.executable, "-m", "tlbatch", "schedule", "trigger", NAME, "--here", "--store", str(nights.folder / "store")]
    process = training(nights, command)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 143
    record = nights.firings[0]
    assert (record.state, record.serial) == ("cancelled", 1)
    assert nights.names(f"schedules/{NAME}/open/") == []


def test_who_has_begun_waits_for_its_turn_and_is_not_skipped(walked: Pods) -> None:
    lease = acquire_named(walked.opened, f"schedules/{NAME}/lease.json", "shapes-29000009", 30.0)
    assert isinstance(lease, Lease)
    with beating(lease, 0.01, ""), pytest.raises(TransientError, match="shapes-29000009 holds the schedule: it goes on after"):
        walked.pod("shapes-29000002", pause=0.02)
    assert walked.pod("shapes-29000002").outcome == "promoted"


def test_killed_in_the_midst_of_training_the_next_firing_goes_on(nights: Pods) -> None:
    draw_shapes(nights.images, 6, first=600)
    nights.apply("runs[cnn].train.epochs=3000")
    command = [sys.executable, "-m", "tlbatch", "schedule", "trigger", NAME, "--here", "--store", str(nights.folder / "store")]
    process = training(nights, command)
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    nights.apply("runs[cnn].train.epochs=4")
    record = nights.here()
    assert record.state == SUCCEEDED
    left = nights.firings[1]
    assert left.state == FAILED
    assert "ended without a word" in left.sentence
    assert nights.names(f"schedules/{NAME}/open/") == []


# -- what goes wrong ------------------------------------------------------------------------------------------------------


def test_data_that_is_gone_fails_with_a_sentence_and_the_next_night_may_do(nights: Pods) -> None:
    away = nights.images.rename(nights.folder / "away")
    with pytest.raises(StudyError):
        nights.here()
    failed = nights.firings[0]
    assert failed.state == FAILED
    assert "no such folder" in failed.sentence
    away.rename(nights.images)
    assert nights.here().state == UNCHANGED


def test_a_task_that_fails_is_told_and_tried_again_next_time(nights: Pods) -> None:
    draw_shapes(nights.images, 4, first=650)
    nights.apply("runs[cnn].train.epochs=1000000", "runs[cnn].resources.deadline=2s")
    record = nights.here()
    assert record.state == FAILED
    assert record.sentence.startswith("finetune:cnn:0: ")
    assert failed_code(nights.opened, record) == 124
    assert nights.serials == [1]
    nights.apply()
    assert nights.here().state == SUCCEEDED


def test_the_webhook_hears_the_line_and_the_table(walked: Pods, hook: Hook) -> None:
    record = walked.pod("shapes-29000002", hook=hook.url)
    assert record.webhook == "sent"
    (got,) = hook.got
    assert got["text"].startswith("shapes: promoted. ")
    assert "cnn" in got["blocks"][1]["text"]["text"]


def test_a_webhook_that_fails_is_an_event_and_a_line(walked: Pods, hook: Hook) -> None:
    hook.answers = [500]
    record = walked.pod("shapes-29000002", hook=hook.url)
    assert (record.state, record.outcome) == (SUCCEEDED, "promoted")
    assert record.webhook == "the webhook at 127.0.0.1 answered 500 (2 tries)"
    assert record.webhook in walked.said
    events = [event for event in Execution(walked.opened, record.execution).events() if event["kind"] == "webhook"]
    assert [event["sent"] for event in events] == [False]
    whole = b"".join(walked.opened.get(name) for name in walked.names(""))
    assert b"secret-token" not in whole


def test_trigger_of_a_study_applies_it_here(nights: Pods) -> None:
    command = [sys.executable, "-m", "tlbatch", "schedule", "trigger", str(nights.study), "--here"]
    done = subprocess.run([*command, "--store", str(nights.folder / "store")], capture_output=True, text=True, check=True)
    assert "unchanged" in done.stdout
    nights.study.write_text(STUDY.replace("schedule:", "# schedule:"))
    done = subprocess.run([*command, "--store", str(nights.folder / "store")], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "schedule: is missing" in done.stderr


@pytest.fixture
def hook() -> Any:
    server = Hook()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.ended.set()
    server.shutdown()
    server.server_close()
