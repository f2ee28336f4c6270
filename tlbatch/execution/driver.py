"""Plan + store + backend -> done. Everything it knows is in the store, so another driver can go on at any point."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from tlbatch.backends import Backend, Ended
from tlbatch.errors import CorruptArtifactError, Stopped, TransientError
from tlbatch.execution.rates import remember_rate
from tlbatch.execution.recording import Recording
from tlbatch.execution.retries import RETRY, Verdict, judge, own_words
from tlbatch.execution.task_state import TaskState
from tlbatch.planning import Plan
from tlbatch.records.earlier_features import older_artifacts, remember_extractor
from tlbatch.records.executions import Execution
from tlbatch.records.states import BLOCKED, CACHED, COMPLETE, DONE, ENDED, FAILED, PENDING, READY, RUNNING, STOPPED, WAITING
from tlbatch.records.task_records import read_exit
from tlbatch.steps import STEPS
from tlbatch.store import Store
from tlbatch.store.artifacts import load_manifest
from tlbatch.store.documents import DamagedError
from tlbatch.store.lease import Lease, LeaseInfo, LeaseLostError
from tlbatch.store.pieces import put_pieces
from tlbatch.tasks import InputRef, Task, load_task, task_name

LOOK_AGAIN_S = 1.0  # at a task that another execution computes
CANCEL_EVERY_S = 5.0
GRACE_S = 60.0
REMAKES = 2  # a report that is damaged each time it is made: the disk is


class Observer(Protocol):
    """Hears of every change; a terminal, or nobody."""

    def changed(self, work: TaskState) -> None: ...

    def tick(self, works: Iterable[TaskState]) -> None: ...


class Silent:
    """An observer that says nothing."""

    def changed(self, work: TaskState) -> None: ...

    def tick(self, works: Iterable[TaskState]) -> None: ...


@dataclass
class Driver:
    """One walk over a plan. ``stop`` is asked between steps: true ends all tasks gently and raises Stopped.

    In a cluster tasks outlive their driver: with ``detach`` a stop and a failure that passes leave them running for the
    driver that follows. ``guard`` is asked before every step and raises once another driver has this execution.
    ``places`` tells where tasks run (node, restarts, what they wait for), for the status. ``before`` is the status that
    an earlier driver of the same execution left: what it finished or gave up counts as this execution's. ``finish`` is
    called once all tasks are complete, before the status says so.
    """

    plan: Plan
    store: Store
    backend: Backend
    execution: Execution
    observer: Observer = field(default_factory=Silent)
    stop: Callable[[], bool] = lambda: False
    detach: bool = False
    guard: Callable[[], None] = lambda: None
    places: Callable[[], Mapping[str, dict[str, Any]]] = dict
    before: Mapping[str, Any] = field(default_factory=dict)
    finish: Callable[[], None] = lambda: None
    clock: Callable[[], float] = time.time
    poll_s: float = 0.2
    works: dict[str, TaskState] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.works = {node.name: TaskState(node) for node in self.plan}
        self._recording = Recording(self.execution, self.plan.study, self.backend.name, self.before, self.clock)
        self._cancel_at = 0.0
        self._remade = 0

    def run(self) -> str:
        """Walk the plan to its end; returns the execution's state: succeeded, failed or cancelled. Raises Stopped."""
        self._recording.event("started", backend=self.backend.name, tasks=len(self.works))
        state = "failed"
        try:
            state = self._walk()
            while state == "succeeded" and not self._finished():
                state = self._walk()
        except BaseException as error:
            if self.detach and isinstance(error, Stopped | KeyboardInterrupt | TransientError):
                self._leave(error)
                raise
            state = "stopped" if isinstance(error, Stopped | KeyboardInterrupt) else "failed"
            self._halt(0.0 if isinstance(error, KeyboardInterrupt) else GRACE_S)
            self._end(state)
            raise
        self._end(state)
        return state

    def _finished(self) -> bool:
        """Publish the report. False where its files were damaged: its task is pending again. Raises the last time."""
        try:
            self.finish()
        except CorruptArtifactError as error:
            self._remade += 1
            gone = [work.ref for work in self.works.values() if work.ref and not self._there(work.ref)]
            if not gone or self._remade > REMAKES:
                raise
            self._recording.event("damaged", sentence=str(error))
            self._make_again(gone)
            return False
        return True

    def _there(self, ref: InputRef) -> bool:
        return load_manifest(self.store, ref.step, ref.key) is not None

    def _make_again(self, gone: Collection[InputRef | None]) -> None:
        for other in self.works.values():
            if other.ref in gone:
                other.ref = None
                self._move(other, PENDING, "its files were damaged")

    def _end(self, state: str) -> None:
        self._recording.event("ended", state=state)
        try:
            self._save(state)
        finally:
            self.backend.close()

    def _leave(self, error: BaseException) -> None:
        """Let the tasks run: the next driver finds them. Whoever lost the execution to another writes nothing any more."""
        self.backend.close()
        if not isinstance(error, LeaseLostError):
            self._recording.event("driver left", why=str(error))
            with suppress(TransientError):
                self._save("running")

    def failures(self) -> list[TaskState]:
        """Tasks that failed, in the plan's order."""
        return [work for work in self.works.values() if work.state == FAILED]

    # -- the loop -----------------------------------------------------------------------------------------------------

    def _walk(self) -> str:
        while True:
            self.guard()
            self._advance_all()
            self.observer.tick(self.works.values())
            if all(work.state in ENDED for work in self.works.values()):
                return "succeeded" if all(work.state in COMPLETE for work in self.works.values()) else "failed"
            self._say()
            if self.stop():
                raise Stopped("asked to stop: what was done is kept, the same command goes on from there")
            if self._cancelled():
                self._halt()
                return "cancelled"
            over = self.backend.ended(self.poll_s)
            for ended in over:
                self._ended(ended)
            self._heartbeats()
            if not over and not any(work.state == RUNNING for work in self.works.values()):
                time.sleep(self.poll_s / 4)

    def _advance_all(self) -> None:
        """In the plan's order. Before a heavy task that has no room go light ones, which are soon over, and trainings like one
        that runs, which leaves them their part of the cores; no others, which might go on doing so for hours."""
        waits = False
        running = {work.node.shape for work in self.works.values() if work.state == RUNNING and work.node.alike}
        for work in self.works.values():
            if self._may_start(work) and (not waits or work.node.weight == "light" or work.node.shape in running):
                if self.backend.has_room(work.node):
                    self._start(work)
                    if work.node.alike:
                        running.add(work.node.shape)
                else:
                    waits = waits or work.node.weight == "heavy"

    def _may_start(self, work: TaskState) -> bool:
        if work.state == PENDING:
            self._resolve(work)
        if work.state == WAITING and self.clock() >= work.not_before:
            self._look(work)
        return work.state == READY and self.clock() >= work.not_before

    def _resolve(self, work: TaskState) -> None:
        """Pending -> blocked, cached or ready."""
        needs = [self.works[name] for name in work.node.needs.values()]
        if any(need.state in (FAILED, BLOCKED, STOPPED) for need in needs):
            failed = next(need for need in needs if need.state in (FAILED, BLOCKED, STOPPED))
            self._move(work, BLOCKED, f"{failed.name} {failed.state}")
            return
        done = {need.name: need.ref for need in needs if need.ref is not None}
        task = work.node.task(done)
        if task is None:
            return
        work.task = task
        before = self._before(work)
        if self._found(work, DONE if before.get("state") in (DONE, RUNNING) else CACHED):
            return
        if before.get("state") == FAILED:
            work.codes = list(before.get("codes", ()))
            self._move(work, FAILED, str(before.get("sentence", "")))
            return
        self._move(work, READY)

    def _before(self, work: TaskState) -> Mapping[str, Any]:
        """What the earlier driver said of this same task; nothing of one with another key."""
        said: Mapping[str, Any] = self.before.get("tasks", {}).get(work.name, {})
        return said if work.task is not None and said.get("key") == work.task.key else {}

    def _found(self, work: TaskState, state: str) -> bool:
        """Whether the artifact is in the store; then the work is complete."""
        assert work.task is not None
        manifest = load_manifest(self.store, work.task.step, work.task.key)
        if manifest is None:
            return False
        work.ref = InputRef(manifest.step, manifest.key, manifest.digest)
        if state == CACHED:
            self._mend_document(work.task)
        if state == DONE:
            work.seconds = float(manifest.made.get("seconds", 0.0))
            work.computed = manifest.made.get("forward_passes") if STEPS[manifest.step].reuses else None
        self._move(work, state)
        return True

    def _mend_document(self, task: Task) -> None:
        """Of a complete task: champions, predictions and comparisons read it later."""
        try:
            there = load_task(self.store, task.key) is not None
        except DamagedError as error:
            there = False
            self._recording.event("damaged", sentence=str(error))
        if not there:
            self.store.put(task_name(task.key), task.to_json())

    def _look(self, work: TaskState) -> None:
        """At a task that another execution has: done, or its lease free?"""
        if not self._found(work, CACHED):
            self._move(work, READY)

    def _start(self, work: TaskState) -> None:
        task = work.task
        assert task is not None
        lease = Lease.acquire(self.store, task.key, self.execution.id, clock=self.clock)
        if isinstance(lease, LeaseInfo):
            work.holder, work.not_before = lease.holder, self.clock() + LOOK_AGAIN_S
            self._move(work, WAITING, f"waiting for {lease.holder}")
            return
        work.lease = lease
        if self._found(work, CACHED):  # the holder before us finished between our look and our lease
            self._release(work)
            return
        task = self._document(task, work)
        self.store.put(task_name(task.key), task.to_json())
        work.started = self.clock()
        self.backend.start(task, work.node)
        self._move(work, RUNNING)

    def _document(self, task: Task, work: TaskState) -> Task:
        """The task with what may save it work; what it reads that is no artifact is put beside it."""
        for name, content in work.node.files.items():
            put_pieces(self.store, name, content)
        return older_artifacts(self.store, task)

    # -- ends ---------------------------------------------------------------------------------------------------------

    def _ended(self, ended: Ended) -> None:
        work = next(work for work in self.works.values() if work.task and work.task.key == ended.key and work.state == RUNNING)
        work.seconds = self.clock() - work.started
        self._release(work)
        if ended.code == 0 and self._found(work, DONE):
            self._remember(work)
            return
        work.codes.append(ended.code)
        said = read_exit(self.store, ended.key)
        if not own_words(ended, said, work.started):
            self._keep_output(ended)
        verdict = judge(ended, said, work.node.step, work.started, work.codes)
        if verdict.action == RETRY:
            self._retry(work, verdict)
        else:
            self._move(work, FAILED, verdict.sentence)

    def _keep_output(self, ended: Ended) -> None:
        """The last words of a process that could not store its log itself: it died too early, or was killed."""
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(self.clock()))
        self.store.put(f"work/{ended.key}/logs/{stamp}-driver-00000.txt", ended.output.encode())

    def _retry(self, work: TaskState, verdict: Verdict) -> None:
        work.tries += 1
        work.not_before = self.clock() + verdict.wait_s
        assert work.task is not None
        gone = [ref for ref in work.task.inputs.values() if not self._there(ref)]
        self._make_again(gone)  # an input was set aside as damaged: what made it runs once more, then this
        self._move(work, PENDING if gone else READY, verdict.sentence)

    def _remember(self, work: TaskState) -> None:
        assert work.task is not None
        assert work.ref is not None
        remember_rate(self.store, work.node, work.seconds, work.computed)
        remember_extractor(self.store, work.task, work.ref)

    def _halt(self, grace_s: float = GRACE_S) -> None:
        """End all tasks gently, and give up the leases."""
        codes = {ended.key: ended.code for ended in self.backend.stop(grace_s)}
        for work in self.works.values():
            if work.state == RUNNING:
                assert work.task is not None
                work.seconds = self.clock() - work.started
                if codes.get(work.task.key) != 0 or not self._found(work, DONE):
                    self._move(work, STOPPED, "asked to stop")
            elif work.state not in ENDED:
                self._move(work, STOPPED)
            self._release(work)

    # -- leases, records ----------------------------------------------------------------------------------------------

    def _release(self, work: TaskState) -> None:
        if work.lease is not None:
            work.lease.release()
            work.lease = None

    def _heartbeats(self) -> None:
        for work in self.works.values():
            if work.lease is None or not work.lease.due:
                continue
            try:
                work.lease.heartbeat()
            except LeaseLostError:  # the task goes on: whoever commits first wins, and both results are the same
                work.lease = None
                self._recording.event("lease lost", task=work.name)

    def _cancelled(self) -> bool:
        if self.clock() - self._cancel_at < CANCEL_EVERY_S:
            return False
        self._cancel_at = self.clock()
        return self.execution.cancel_request() is not None

    def _say(self) -> None:
        if self._recording.due:
            with suppress(TransientError):  # status is for people: a store that is away for a moment ends no study
                self._save("running")

    def _move(self, work: TaskState, state: str, sentence: str = "") -> None:
        if (work.state, work.sentence) == (state, sentence):
            return
        work.state, work.sentence = state, sentence
        self._recording.moved(work)
        self.observer.changed(work)

    def _save(self, state: str) -> None:
        for name, place in self.places().items():
            self.works[name].place = place
        self._recording.save(state, self.works)
