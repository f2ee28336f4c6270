"""The driver over a scripted backend that commits real artifacts to a real store: what runs, what does not, what goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tlbatch import tasks
from tlbatch.backends import Ended
from tlbatch.datasets.listing import Listing
from tlbatch.errors import Stopped
from tlbatch.execution.driver import Driver
from tlbatch.planning import Alike, Node, Plan
from tlbatch.records.executions import Execution
from tlbatch.records.states import BLOCKED, CACHED, DONE, FAILED, STOPPED, WAITING
from tlbatch.records.task_records import read_logs
from tlbatch.store import Store
from tlbatch.store.artifacts import Manifest, artifact_files, commit, load_manifest, open_artifact, set_aside
from tlbatch.store.lease import Lease, LeaseLostError
from tlbatch.tasks import Task

PLAN = Plan(
    "toy",
    {
        node.name: node
        for node in [
            Node("prepare", "prepare", {"n": 1}, files={"work/listing.json": Listing("pets", (), (), ())}, weight="light"),
            Node("finetune:a", "finetune", {"lr": 1.0}, {"dataset": "prepare"}, weight="light"),
            Node("finetune:b", "finetune", {"lr": 2.0}, {"dataset": "prepare"}, weight="light"),
            Node("report", "report", {}, {"a": "finetune:a", "b": "finetune:b"}, weight="light"),
        ]
    },
)


def save(store: Store, task: Task, folder: Path, text: str = "") -> None:
    """What a step leaves: an artifact whose content follows from its task."""
    path = folder / f"{task.key}.txt"
    path.write_text(text or f"{task.step} {task.params} {sorted(task.inputs)}")
    entries = artifact_files({"out.txt": path}, task.step, task.key, "a1")
    store.upload(path, entries["out.txt"].path)
    commit(store, Manifest(task.step, task.key, entries), "a1")


class ScriptedBackend:
    """Runs ``script(task, try number) -> exit code`` when asked what ended. ``started`` lists names in order."""

    name = "scripted"

    def __init__(self, store: Store, folder: Path, script: Callable[[Task, int], int] | None = None, room: int = 2) -> None:
        self.store, self.folder, self.script, self.room = store, folder, script, room
        self.started: list[str] = []
        self.waiting: list[Task] = []

    def has_room(self, node: Node) -> bool:
        return len(self.waiting) < self.room

    def start(self, task: Task, node: Node) -> None:
        self.started.append(node.name)
        self.waiting.append(task)

    def ended(self, timeout_s: float) -> list[Ended]:
        if not self.waiting:
            time.sleep(timeout_s)
            return []
        task = self.waiting.pop(0)
        code = self.script(task, self.started.count(task.name)) if self.script else 0
        if code == 0:
            save(self.store, task, self.folder)
        return [Ended(task.key, code, f"{task.name} says {code}")]

    def stop(self, grace_s: float) -> list[Ended]:
        ended = [Ended(task.key, 143) for task in self.waiting]
        self.waiting.clear()
        return ended

    def close(self) -> None:
        """Nothing is held."""


@pytest.fixture
def drive(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Driver, ScriptedBackend]]:
    monkeypatch.setattr("tlbatch.execution.retries.FIRST_WAIT_S", 0.01)
    monkeypatch.setattr("tlbatch.execution.driver.LOOK_AGAIN_S", 0.05)

    def build(name: str = "toy-1", script: Any = None, **settings: Any) -> tuple[Driver, ScriptedBackend]:
        backend = ScriptedBackend(store, tmp_path, script)
        return Driver(PLAN, store, backend, Execution(store, name), poll_s=0.01, **settings), backend

    return build


def states(driver: Driver) -> dict[str, str]:
    return {name: work.state for name, work in driver.works.items()}


@pytest.mark.promise(1)
def test_runs_everything_once_and_then_nothing(drive: Any, store: Store) -> None:
    """Fails when the driver does not take for done what the store has: a task is started again."""
    driver, backend = drive()
    assert driver.run() == "succeeded"
    assert backend.started == ["prepare", "finetune:a", "finetune:b", "report"]
    assert set(states(driver).values()) == {DONE}
    again, idle = drive("toy-2")
    assert again.run() == "succeeded"
    assert idle.started == []
    assert set(states(again).values()) == {CACHED}
    assert Execution(store, "toy-2").load_plan()["tasks"]["report"]["digest"] == driver.works["report"].ref.digest


class Cores(ScriptedBackend):
    """Two cores: a training of ``alike`` ones takes one of them, other heavy tasks both. Of what runs, ``over`` ends next."""

    def __init__(self, store: Store, folder: Path, over: list[str]) -> None:
        super().__init__(store, folder)
        self.over = over
        self.cores: dict[str, int] = {}

    def cores_of(self, node: Node) -> int:
        return 1 if node.weight == "light" or node.alike else 2

    def has_room(self, node: Node) -> bool:
        return sum(self.cores[task.name] for task in self.waiting) + self.cores_of(node) <= 2

    def start(self, task: Task, node: Node) -> None:
        self.cores[node.name] = self.cores_of(node)
        super().start(task, node)

    def ended(self, timeout_s: float) -> list[Ended]:
        self.waiting.sort(key=lambda task: self.over.index(task.name))
        return super().ended(timeout_s)


def test_trainings_that_are_alike_go_before_who_waits_for_all_cores_and_no_other_heavy_ones_do(
    store: Store, tmp_path: Path
) -> None:
    """Else one core would be idle for as long as the first of them takes; and who waits for both would wait for ever."""
    nodes = [
        Node("prepare", "prepare", {"n": 0}, weight="light"),
        Node("head", "finetune", {"n": 1}, {"dataset": "prepare"}, weight="light"),
        Node("evaluate", "evaluate", {"n": 2}, {"head": "head"}),
        *(
            Node(
                f"train:{run}:{seed}",
                "finetune",
                {"n": run + str(seed)},
                {"dataset": "prepare"},
                shape=run,
                alike=Alike(seed, 2, 1),
            )
            for run in "ab"
            for seed in (0, 1)
        ),
        Node("late", "report", {"n": 3}, {"a": "train:a:0"}, weight="light"),
    ]
    over = ["prepare", "head", "train:a:0", "late", "train:a:1", "evaluate", "train:b:0", "train:b:1"]
    backend = Cores(store, tmp_path, over)
    driver = Driver(Plan("toy", {node.name: node for node in nodes}), store, backend, Execution(store, "toy-1"), poll_s=0.01)
    assert driver.run() == "succeeded"
    assert backend.started == ["prepare", "head", "train:a:0", "train:a:1", "late", "evaluate", "train:b:0", "train:b:1"]


def test_a_failure_blocks_what_needs_it_and_nothing_else(drive: Any, store: Store) -> None:
    driver, backend = drive(script=lambda task, number: 65 if task.name == "finetune:a" else 0)
    assert driver.run() == "failed"
    assert states(driver) == {"prepare": DONE, "finetune:a": FAILED, "finetune:b": DONE, "report": BLOCKED}
    assert backend.started.count("finetune:a") == 1  # 65 is final
    key = driver.works["finetune:a"].task.key
    assert "finetune:a says 65" in "".join(piece.text for piece in read_logs(store, key))
    status = Execution(store, "toy-1").load_status()
    assert (status["state"], status["tasks"]["finetune:a"]["codes"]) == ("failed", [65])


def test_come_back_later_is_tried_again(drive: Any) -> None:
    driver, backend = drive(script=lambda task, number: 75 if task.name == "finetune:a" and number < 3 else 0)
    assert driver.run() == "succeeded"
    assert backend.started.count("finetune:a") == 3


def test_tries_are_counted(drive: Any) -> None:
    driver, backend = drive(script=lambda task, number: 75 if task.name == "prepare" else 0)
    assert driver.run() == "failed"
    assert backend.started == ["prepare"] * 7
    assert "given up after 7 tries" in driver.works["prepare"].sentence


def test_killed_twice_for_memory_is_enough(drive: Any) -> None:
    driver, backend = drive(script=lambda task, number: 137 if task.name == "prepare" else 0)
    assert driver.run() == "failed"
    assert backend.started == ["prepare"] * 2
    assert driver.works["prepare"].sentence.endswith("2 times: raise resources.steps.prepare.memory")


def test_a_stop_ends_gently_and_the_next_driver_goes_on(drive: Any) -> None:
    asked: list[int] = []

    def script(task: Task, number: int) -> int:
        if task.name == "finetune:a":
            asked.append(1)
        return 0

    driver, _ = drive(script=script, stop=lambda: bool(asked))
    with pytest.raises(Stopped):
        driver.run()
    assert STOPPED in states(driver).values()
    again, second = drive("toy-2")
    assert again.run() == "succeeded"
    assert "prepare" not in second.started
    assert "finetune:a" not in second.started


def test_a_cancel_is_final(drive: Any, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlbatch.execution.driver.CANCEL_EVERY_S", 0.0)
    execution = Execution(store, "toy-1")

    def script(task: Task, number: int) -> int:
        execution.request_cancel()
        return 0

    driver, _ = drive(script=script)
    assert driver.run() == "cancelled"
    assert execution.load_status()["state"] == "cancelled"
    assert not execution.save_status({"state": "running"})


def test_two_drivers_at_once_compute_each_task_once(drive: Any) -> None:
    def slow(task: Task, number: int) -> int:
        time.sleep(0.1)
        return 0

    pairs = [drive(f"toy-{i}", script=slow) for i in range(2)]
    threads = [threading.Thread(target=driver.run) for driver, _ in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(pairs[0][1].started + pairs[1][1].started) == sorted(node.name for node in PLAN)
    for driver, _ in pairs:
        assert set(states(driver).values()) <= {DONE, CACHED}


def test_waits_for_anothers_lease_and_takes_over_an_expired_one(drive: Any, store: Store) -> None:
    key = PLAN.nodes["prepare"].task({}).key
    Lease.acquire(store, key, "other-execution", ttl_s=1.0, clock=lambda: time.time() - 5)  # SKEW_S later it may be taken over
    driver, backend = drive()
    seen: list[str] = []
    driver.observer = type(
        "Watch",
        (),
        {
            "changed": lambda self, work: seen.append(f"{work.name} {work.state} {work.holder}"),
            "tick": lambda self, works: None,
        },
    )()
    assert driver.run() == "succeeded"
    assert f"prepare {WAITING} other-execution" in seen
    assert backend.started[0] == "prepare"


def test_a_damaged_input_is_made_once_more(drive: Any, store: Store, tmp_path: Path) -> None:
    """A step that finds an input damaged sets its manifest aside and says 75; what made it runs again, then the step."""

    def script(task: Task, number: int) -> int:
        if task.name == "finetune:a" and number == 1:
            ref = task.inputs["dataset"]
            artifact = open_artifact(store, ref.step, ref.key, tmp_path / "cache")
            assert artifact is not None
            set_aside(store, ref.step, ref.key, store.get(f"artifacts/{ref.step}/{ref.key}/manifest.json"))
            return 75
        return 0

    driver, backend = drive(script=script)
    assert driver.run() == "succeeded"
    assert backend.started.count("prepare") == 2
    assert load_manifest(store, "prepare", driver.works["prepare"].task.key) is not None


def test_ended_well_without_an_artifact_is_tried_again_and_said(drive: Any) -> None:
    driver, backend = drive()
    backend.ended = lambda timeout_s: [Ended(backend.waiting.pop(0).key, 0)] if backend.waiting else []
    assert driver.run() == "failed"
    assert "left no artifact" in driver.works["prepare"].sentence


def test_a_detached_driver_leaves_its_tasks_running_and_the_next_one_goes_on(drive: Any, store: Store) -> None:
    """In a cluster tasks outlive their driver: what it finished stays this execution's, what runs is not ended."""
    driver, backend = drive(detach=True)
    backend.stop = lambda grace_s: pytest.fail("tasks were ended")
    driver.stop = lambda: states(driver)["finetune:a"] == "running"
    with pytest.raises(Stopped):
        driver.run()
    left = Execution(store, "toy-1").load_status()
    assert left["state"] == "running"
    again, second = drive(detach=True, before=left)
    assert again.run() == "succeeded"
    assert states(again)["prepare"] == DONE  # of this execution, not of another before it
    assert "prepare" not in second.started


def test_what_an_earlier_driver_gave_up_stays_given_up(drive: Any, store: Store) -> None:
    driver, _ = drive(script=lambda task, number: 65 if task.name == "finetune:a" else 0)
    driver.run()
    again, second = drive(before=Execution(store, "toy-1").load_status())
    assert again.run() == "failed"
    assert second.started == []
    assert (again.works["finetune:a"].sentence, again.works["finetune:a"].codes) == ("finetune:a says 65", [65])


def test_who_lost_the_execution_touches_nothing(drive: Any, store: Store) -> None:
    driver, backend = drive(detach=True)
    backend.stop = lambda grace_s: pytest.fail("tasks were ended")
    before = {stat.name: stat.etag for stat in store.list()}

    def guard() -> None:
        raise LeaseLostError("another driver has it")

    driver.guard = guard
    with pytest.raises(LeaseLostError):
        driver.run()
    assert backend.started == []
    assert {stat.name: stat.etag for stat in store.list()} == before


def test_a_final_end_is_not_tried_again_and_the_backend_has_the_last_word(drive: Any) -> None:
    driver, backend = drive()
    said = "killed for memory at its limit of 1Gi"
    backend.ended = lambda timeout_s: (
        [Ended(backend.waiting.pop(0).key, 137, final=True, sentence=said)] if backend.waiting else []
    )
    assert driver.run() == "failed"
    assert backend.started == ["prepare"]
    assert driver.works["prepare"].sentence == said


def test_keys_are_worked_out_once_a_task(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when each turn hashes the parameters of all tasks again: time would grow with the square of their number."""
    keys: list[str] = []
    real = tasks.task_key
    monkeypatch.setattr(tasks, "task_key", lambda *given: keys.append(given[0]) or real(*given))
    trainings = [Node(f"finetune:{n}", "finetune", {"lr": float(n)}, {"dataset": "prepare"}, weight="light") for n in range(40)]
    needs = {node.name: node.name for node in trainings}
    nodes = [PLAN.nodes["prepare"], *trainings, Node("report", "report", {}, needs, weight="light")]
    backend = ScriptedBackend(store, tmp_path, room=8)
    driver = Driver(Plan("many", {node.name: node for node in nodes}), store, backend, Execution(store, "many-1"), poll_s=0.01)
    assert driver.run() == "succeeded"
    assert len(keys) == len(nodes)
