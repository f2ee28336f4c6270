"""``tlbatch schedule`` as its users meet it, without a cluster."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.tlbatch.schedules.pets import STUDY
from tlbatch.cli import main
from tlbatch.store import open_store
from tlbatch.store.lease import acquire_named


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study in an empty folder, and no context."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TLBATCH_CONFIG", str(tmp_path / "config.yaml"))
    for name in ("TLBATCH_STORE", "TLBATCH_IMAGES", "TLBATCH_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "study.yaml").write_text(STUDY)
    return tmp_path


def tlbatch(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(["schedule", *arguments])
    return int(end.value.code or 0)


@pytest.mark.parametrize("command", ["apply", "list", "show", "history", "trigger", "suspend", "resume", "delete"])
def test_every_command_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert tlbatch(command, "--help") == 0
    assert f"tlbatch schedule {command}" in capsys.readouterr().out.partition("Options:")[0].split("\n", 1)[1]


def test_without_a_context_it_is_kept_here_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert tlbatch("apply", "study.yaml") == 0
    said = capsys.readouterr().out
    assert "kept here (no context names a cluster" in said
    assert "tlbatch schedule trigger pets --here" in said
    assert tlbatch("trigger", "pets") == 2
    assert "is not on a cluster: `tlbatch schedule trigger pets --here`" in capsys.readouterr().err


def test_from_apply_to_delete(capsys: pytest.CaptureFixture[str]) -> None:
    assert tlbatch("list") == 2
    assert "there is no store at" in capsys.readouterr().err
    assert tlbatch("apply", "study.yaml", "--here", "-o", "json") == 0
    assert json.loads(capsys.readouterr().out)["where"] == "here"
    assert tlbatch("suspend", "pets") == 0
    assert capsys.readouterr().out == "pets: suspended\n"
    assert tlbatch("trigger", "pets", "--here") == 0
    assert "is suspended: nothing fires until `tlbatch schedule resume pets`" in capsys.readouterr().err
    assert tlbatch("resume", "pets") == 0
    assert "fires next" in capsys.readouterr().out
    assert tlbatch("list", "-o", "json") == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["name"], listed["suspended"], listed["promote"]) == ("pets", False, "not_worse")
    assert tlbatch("show", "pets") == 0
    assert "0 3 * * * in Asia/Shanghai" in capsys.readouterr().out
    assert tlbatch("history", "pets", "-o", "json") == 0
    assert json.loads(capsys.readouterr().out) == []
    assert tlbatch("delete", "pets") == 0
    assert "stay in the store" in capsys.readouterr().out
    assert tlbatch("show", "pets") == 2
    assert "no schedule 'pets'" in capsys.readouterr().err


def test_what_would_be_applied_is_printed(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    context = {"images": "registry.example/x", "store": "s3://results/tl", "namespace": "team"}
    (place / "config.yaml").write_text(yaml.safe_dump({"current-context": "there", "contexts": {"there": context}}))
    assert tlbatch("apply", "study.yaml", "--dry-run", "client", "--set", "schedule.suspend=true") == 0
    cron_job = yaml.safe_load(capsys.readouterr().out)
    assert (cron_job["kind"], cron_job["metadata"]["namespace"], cron_job["spec"]["suspend"]) == ("CronJob", "team", True)
    assert tlbatch("apply", "study.yaml", "--dry-run", "client", "--set", "dataset.url=images") == 2
    assert "which pods cannot see" in capsys.readouterr().err


def test_a_dry_run_never_writes(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tlbatch("apply", "study.yaml", "--here", "--dry-run", "client") == 2
    assert "--dry-run is for CronJobs" in capsys.readouterr().err
    assert not (place / ".tlbatch").exists()


def test_a_firing_that_runs_keeps_the_schedule(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tlbatch("apply", "study.yaml", "--here", "--store", "results") == 0
    acquire_named(open_store(str(place / "results")), "schedules/pets/lease.json", "pets-29849460", 30.0)
    assert tlbatch("delete", "pets", "--store", "results") == 2
    assert "pets-29849460 runs: wait for its end" in capsys.readouterr().err
    assert tlbatch("history", "pets", "--store", "results") == 0
    assert "running" in capsys.readouterr().out


def test_a_study_without_a_schedule(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "study.yaml").write_text(STUDY.partition("schedule:")[0])
    assert tlbatch("apply", "study.yaml") == 2
    assert 'schedule: is missing; add e.g. schedule: {cron: "0 3 * * *"}' in capsys.readouterr().err


def test_run_says_that_it_applies_no_schedule(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "study.yaml").write_text(STUDY.replace("s3://pets/images", "away"))
    with pytest.raises(SystemExit):
        main(["run", "study.yaml"])
    said = capsys.readouterr().err
    assert "its schedule is applied by `tlbatch schedule apply study.yaml --here`" in said
