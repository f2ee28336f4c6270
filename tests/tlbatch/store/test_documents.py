"""One reader for documents of a store: absent, readable or damaged, never one for another; and nobody reads past it."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobs.worklog import write_exit, write_progress
from tests.tlbatch.champions.test_champion import champion
from tests.tlbatch.schedules.pets import STUDY
from tlbatch.champions.champion import champion_names, crown, load_champion, terms
from tlbatch.cli import _code
from tlbatch.records.executions import Execution, find_execution, list_executions
from tlbatch.records.garbage import find_garbage
from tlbatch.records.task_records import read_exit, read_progress
from tlbatch.schedules.pins import Pins, load_pins, save_pins
from tlbatch.schedules.schedule import HERE, StoredSchedule, change_schedule, load_schedule
from tlbatch.store import Store
from tlbatch.store.documents import SEAL, DamagedError, read, sealed, shaped, unsealed
from tlbatch.tasks import InputRef, Task, load_task, task_name

ROOT = Path(__file__).parents[3]
Loads = dict[str, Callable[[], Any]]
REF = InputRef("pin", "a" * 40, "b" * 64)
#: what reads JSON that is in no store, by module: a study just decoded, packaged tables, answers of an API server or a process,
#: headers of weight files, environment variables, what processes that train together tell one another, settings just dumped
ELSEWHERE = {
    "tlbatch/store/documents.py",
    "tlbatch/planning/weights.py",
    "tlbatch/backbones/imagenet.py",
    "tlbatch/backbones/catalogue.py",
    "tlbatch/backbones/clip.py",
    "tlbatch/backbones/top1.py",
    "tlbatch/profiles.py",
    "tlbatch/champions/exporting.py",
    "tlbatch/backends/processes.py",
    "tlbatch/reports/comparing.py",
    "tlbatch/cluster/errors.py",
    "tlbatch/cluster/logins.py",
    "tlbatch/cluster/client.py",
    "tlbatch/cluster/diagnosis.py",
    "tlbatch/manifests/site.py",
    "jobs/warm.py",
    "jobs/training/group.py",
    "jobs/data/row_store.py",
    "jobs/data/index.py",
    "jobs/reporting/datacard.py",
}
DAMAGES = {
    "empty": lambda data: b"",
    "half": lambda data: data[: len(data) // 2],
    "garbage": lambda data: bytes(range(256)),
    "list": lambda data: b"[]",
    "null": lambda data: b"null",
    "object": lambda data: b"{}",
    "text": lambda data: b'"pets"',
    "flipped": lambda data: data.replace(b'"version": 3', b'"version": 2').replace(b"0.9", b"0.8"),
    "deep": lambda data: b"[" * 100_000,
}


@pytest.mark.promise(11)
def test_all_json_of_a_store_is_read_in_one_place() -> None:
    """Fails when another module calls ``json.loads``."""
    found = set()
    for path in [*ROOT.glob("tlbatch/**/*.py"), *ROOT.glob("jobs/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            reads = isinstance(node, ast.Call) and ast.unparse(node.func) in ("json.loads", "json.load")
            if reads and not ast.unparse(node).startswith("json.loads(json.dumps("):
                found.add(path.relative_to(ROOT).as_posix())
    assert found - ELSEWHERE == set(), "read it with tlbatch.store.documents, which tells damaged from absent"
    assert ELSEWHERE - found == set(), "these do not read JSON any more"


@pytest.mark.promise(9)
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_pins_are_never_absent_pins(store: Store, damage: str) -> None:
    """Else a firing would pin another test set. Failed before: half a file read as none. Fails when what cannot be read counts
    as absent.
    """
    assert load_pins(store, "pets") is None
    save_pins(store, "pets", Pins(REF, 3, {1: 2, 3: 4}))
    assert load_pins(store, "pets") == Pins(REF, 3, {1: 2, 3: 4})
    store.put("schedules/pets/pins.json", DAMAGES[damage](store.get("schedules/pets/pins.json")))
    for look in (lambda: load_pins(store, "pets"), lambda: save_pins(store, "pets", Pins(REF, 1))):
        with pytest.raises(DamagedError, match=r"schedules/pets/pins\.json is damaged \(.+\): `tlbatch fsck"):
            look()


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_champion_is_not_none(store: Store, damage: str) -> None:
    first = crown(store, champion(1, metrics={"accuracy": {"value": 0.9}}), None)
    second = crown(store, champion(2, metrics={"accuracy": {"value": 0.9}}), load_champion(store, "pets")[1])
    name = first.record
    store.put(name, DAMAGES[damage](store.get(name)))
    assert [each.serial for each in terms(store, "pets")] == [2]  # the others go on
    name = second.record if damage == "flipped" else "champions/pets.json"
    store.put(name, DAMAGES[damage](store.get(name)))
    assert champion_names(store) == ["pets"]
    with pytest.raises(DamagedError, match="is damaged"):
        load_champion(store, "pets")


@pytest.mark.parametrize("damage", [name for name in DAMAGES if name != "flipped"])
def test_a_damaged_schedule_is_not_a_wrong_name_and_is_applied_anew(store: Store, damage: str) -> None:
    stored = StoredSchedule("pets", "name: pets", 1.0, 2.0, where=HERE)
    change_schedule(store, "pets", lambda before: stored)
    store.put("schedules/pets/schedule.json", DAMAGES[damage](store.get("schedules/pets/schedule.json")))
    with pytest.raises(DamagedError, match=r"schedule\.json is damaged .*`tlbatch schedule apply STUDY` writes it anew"):
        load_schedule(store, "pets")
    with pytest.raises(DamagedError):
        change_schedule(store, "pets", lambda before: stored)
    change_schedule(store, "pets", lambda before: stored, anew=True)
    assert load_schedule(store, "pets") == stored


@pytest.mark.parametrize("damage", [name for name in DAMAGES if name not in ("flipped",)])
def test_a_damaged_status_is_listed_and_said(store: Store, damage: str, capsys: pytest.CaptureFixture[str]) -> None:
    execution = Execution(store, "pets-20261123-0412-aaaa")
    execution.save_study("name: pets\n")
    execution.save_status({"state": "succeeded", "study": "pets"})
    store.put(execution.name("status.json"), DAMAGES[damage](store.get(execution.name("status.json"))))
    assert [each.state for each in list_executions(store)] == ["damaged"]
    with pytest.raises(DamagedError, match=r"`tlbatch resume pets-20261123-0412-aaaa`"):
        find_execution(store, "pets").load_status()
    assert execution.last_status() == {}
    assert "going on without it" in capsys.readouterr().err
    assert execution.save_status({"state": "running"})
    assert (execution.load_status() or {})["state"] == "running"


@pytest.mark.parametrize("damage", [name for name in DAMAGES if name not in ("flipped", "object")])
def test_what_tasks_say_may_rot(store: Store, damage: str) -> None:
    for name in ("progress", "exit"):
        store.put(f"work/k/{name}.json", DAMAGES[damage](b'{"code": 1, "seconds": 0.9}'))
    assert read_progress(store, "k") is None
    assert read_exit(store, "k") is None


def test_a_task_document_is_checked_against_its_key(store: Store) -> None:
    task = Task("prepare", {"stored_size": 512})
    store.put(task_name(task.key), task.to_json())
    assert load_task(store, task.key) == task
    edited = {**unsealed(json.loads(task.to_json())), "params": {"stored_size": 513}}
    store.put(task_name(task.key), json.dumps(edited).encode())
    with pytest.raises(DamagedError, match="its key is not that of its content"):
        load_task(store, task.key)


def test_documents_of_older_versions_have_no_seal(store: Store) -> None:
    store.put("a.json", b'{"step": "pin", "key": "k", "digest": "d", "later": 1}')
    assert read(store, "a.json", shaped(InputRef)) == InputRef("pin", "k", "d")
    store.put("a.json", sealed({"step": "pin", "key": "k", "digest": "d"}).replace(b'"k"', b'"l"'))
    with pytest.raises(DamagedError, match="take out its 'seal'"):
        read(store, "a.json", shaped(InputRef))


def _plan_and_status(store: Store) -> Loads:
    execution = Execution(store, "pets-20261123-0412-aaaa")
    execution.save_study("name: pets\n")
    task = {"step": "pin", "key": "a" * 40, "digest": "b" * 64, "state": "done", "seconds": 12.25}
    execution.save_plan({"study": "pets", "tasks": {"pin": task}})
    execution.save_status({"state": "succeeded", "study": "pets", "started": 5.5, "tasks": {"pin": task}})
    return {execution.name("plan.json"): execution.load_plan, execution.name("status.json"): execution.load_status}


def _of_tasks(store: Store) -> Loads:
    task = Task("prepare", {"n": 1}, limits={"threads": 4}, locations={"url": "s3://pets"})
    store.put(task_name(task.key), task.to_json())
    write_progress(store, "k", {"done": 3, "total": 9, "unit": "images"})
    write_exit(store, "k", "a", 65, "wrong data")
    return {
        task_name(task.key): lambda: load_task(store, task.key),
        "work/k/progress.json": lambda: read_progress(store, "k"),
        "work/k/exit.json": lambda: read_exit(store, "k"),
    }


def _fields(found: object, written: object) -> object:
    """Of a document those that were written: a bit flipped in its seal's own name leaves all else as it was."""
    return {name: found[name] for name in found if name in written} if isinstance(found, dict) else found  # type: ignore[operator]


@pytest.mark.parametrize("make", [_plan_and_status, _of_tasks])
def test_no_flipped_bit_goes_unseen(directory_store: Store, make: Callable[[Store], Loads]) -> None:
    """Of what executions and tasks leave. Failed before: a state, a time, a digest, a limit with a flipped bit was believed.

    One bit of each byte in turn: what is read is what was written, or damaged (absent, where it may rot). Without its seal,
    as an older tlbatch left it, it is read.
    """
    for name, load in make(directory_store).items():
        whole, written = directory_store.get(name), load()
        assert written is not None
        for place in range(len(whole)):
            flipped = bytes([whole[place] ^ (1 << place % 8)])
            directory_store.put(name, whole[:place] + flipped + whole[place + 1 :])
            with suppress(DamagedError):
                assert _fields(load(), written) in (written, None), (name, place, flipped)
        older = {field: value for field, value in json.loads(whole).items() if field != SEAL}
        directory_store.put(name, json.dumps(older).encode())
        assert load() == written


def test_the_way_out_is_said_once(directory_store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """Failed before: the command line added it to the sentence that has it already."""
    change_schedule(directory_store, "pets", lambda before: StoredSchedule("pets", STUDY, 1.0, 2.0, where=HERE))
    directory_store.put("schedules/pets/schedule.json", b"[]")
    assert _code(["schedule", "show", "pets", "--store", directory_store.url]) == 65
    assert capsys.readouterr().err.count("`tlbatch schedule apply STUDY` writes it anew") == 1


def test_one_that_another_version_wrote_does_not_hide_the_others(
    directory_store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """Failed before: `schedule list` and `champion show` ended at the first that this tlbatch does not read."""
    store = directory_store
    for name, study in (("later", "kind: Study2"), ("pets", STUDY)):
        change_schedule(store, name, lambda before, n=name, s=study: StoredSchedule(n, s, 1.0, 2.0, where=HERE))  # type: ignore[misc]
        crown(store, replace(champion(1), name=name), None)
    store.put("champions/later/9999-00.json", b'{"format": 99}')
    store.put("champions/later.json", b'{"record": "champions/later/9999-00.json"}')
    change_schedule(store, "pets", lambda before: StoredSchedule("pets", STUDY, 1.0, 2.0, where=HERE))
    for command, words in (
        (("schedule", "list"), "another version of tlbatch applied it"),
        (("champion", "show"), "upgrade it"),
    ):
        assert _code([*command, "--store", store.url]) == 0
        said = capsys.readouterr()
        assert "pets" in said.out
        assert words in said.err


def test_gc_removes_nothing_while_a_root_is_not_what_was_written(directory_store: Store) -> None:
    """Failed before: it asked only for JSON, so a flipped digit in a champion's key gave its model up."""
    crown(directory_store, champion(1), None)
    (name,) = [stat.name for stat in directory_store.list("champions/pets/")]
    directory_store.put(name, directory_store.get(name).replace(b'"serial": 1', b'"serial": 2'))
    with pytest.raises(DamagedError, match="nothing is removed while"):
        find_garbage(directory_store)


def test_a_key_that_is_no_part_of_a_name_is_damage(directory_store: Store) -> None:
    """Failed before: it became a part of an object's name, and `report pull` ended with 1."""
    execution = Execution(directory_store, "pets-20261123-0412-aaaa")
    execution.save_study(STUDY)
    for key in ("../../x", "a/b", "..", ""):
        execution.save_plan({"study": "pets", "tasks": {"report": {"step": "report", "state": "done", "key": key}}})
        with pytest.raises(DamagedError, match="no part of an object's name"):
            execution.load_plan()
    execution.save_plan({"study": "pets", "tasks": {}})
    assert _code(["report", "pull", execution.id, "pulled", "--store", directory_store.url]) == 2  # no status, no report
