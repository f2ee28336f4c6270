"""Tasks as processes of this machine, as many at once as there are cores for."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tlbatch.backends.cores import cores_for, devices, memory_to_share_mib
from tlbatch.backends.processes import Process, WarmServer, start_cold
from tlbatch.backends.protocol import Ended
from tlbatch.environment import THREAD_SETTINGS
from tlbatch.errors import TlbatchError
from tlbatch.planning import Node
from tlbatch.records.task_records import read_progress
from tlbatch.scratch import Scratch
from tlbatch.steps import STEPS
from tlbatch.store import Store
from tlbatch.store.cache import cache_folder, cache_limit
from tlbatch.tasks import Task, task_name

POLL_S = 0.05
PREFIX = "tlbatch-local-"  #: of the folders for temporary files
LAST_WORDS = 4000  # bytes of a process's own output that are kept for when it could not say itself why it ended
QUICK_S, KILLED_WITHIN_S = 3.0, 5.0
BUSY_WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}


def processes_of(limits: Mapping[str, Any], cores: int, gpus: int) -> int:
    """How many processes of this machine train a task together (``limits`` of its document): what its pods would have, one a
    GPU; without GPUs one for each node asked for, and no more than cores."""
    nodes, asked = int(limits.get("nodes", 1)), int(limits.get("gpu", 0))
    return max(1, min(nodes * max(1, asked), gpus) if gpus else min(nodes, cores))


@dataclass
class _Running:
    task: Task
    cores: int
    process: Process
    output: Path
    started: float  #: Unix time, s


@dataclass
class LocalBackend:
    """Tasks take the cores that ``cores_for`` gives them: so the thread count, and with it every bit, is resolved.

    With ``warm``, steps that need torch are forked from a process that has imported it: an import costs seconds, a small task
    less. It starts with the first task of any step, for what follows most likely needs it, and serves every number of threads.
    One that dies before it has forked any (a library that does not load here) is the last: tasks start from nothing then.
    """

    store: Store
    cores: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    python: str = sys.executable
    warm: bool = True
    name: str = "local"
    clock: Callable[[], float] = time.monotonic
    memory_mib: int = field(default_factory=memory_to_share_mib)
    _running: dict[str, _Running] = field(default_factory=dict)
    _warm_server: WarmServer | None = None
    _scratch: Scratch | None = None

    def __post_init__(self) -> None:
        """Raises StudyError where TLBATCH_CACHE_SIZE is no size: once, and not by every task."""
        cache_limit()

    def cores_of(self, node: Node) -> int:
        """Compute threads that a task of this node gets."""
        return cores_for(node, self.cores, self.memory_mib)

    def has_room(self, node: Node) -> bool:
        return sum(running.cores for running in self._running.values()) + self.cores_of(node) <= self.cores

    def start(self, task: Task, node: Node) -> None:
        if task.key in self._running:
            return
        cores = self.cores_of(node)
        output = self._output(task)
        arguments = ["--task", f"{self.store.url}/{task_name(task.key)}"]
        several = processes_of(task.limits, cores, devices())
        process = self._process(task.step, arguments, output, cores, several)
        self._running[task.key] = _Running(task, cores, process, output, time.time())

    def ended(self, timeout_s: float) -> list[Ended]:
        deadline = self.clock() + timeout_s
        while True:
            over = [key for key, running in self._running.items() if running.process.poll() is not None]
            if over or not self._running or self.clock() >= deadline:
                return [self._end(key) for key in over]
            self._wait(POLL_S)

    @property
    def keys(self) -> list[str]:
        """Of the tasks that run."""
        return list(self._running)

    def send_signal(self, key: str, number: int) -> bool:
        """To the process of a running task; False where it has ended."""
        running = self._running.get(key)
        if running is None or running.process.poll() is not None:
            return False
        running.process.send_signal(number)
        return True

    def stop(self, grace_s: float) -> list[Ended]:
        """As the protocol has it; tasks with nothing to save get QUICK_S. A KeyboardInterrupt meanwhile: no more waiting."""
        ended: list[Ended] = []
        with contextlib.suppress(KeyboardInterrupt):
            self._ask(ended, grace_s)
        self._kill(ended)
        self.close()
        return ended

    def close(self) -> None:
        """End all processes, at once, and remove what the backend wrote."""
        self._kill([])
        if self._warm_server is not None:
            self._warm_server.close()
            self._warm_server = None
        if self._scratch is not None:
            self._scratch.remove()
            self._scratch = None

    # -- inside -------------------------------------------------------------------------------------------------------

    def _process(self, step: str, arguments: list[str], output: Path, cores: int, several: int = 1) -> Process:
        environment = self._environment(cores)
        if several > 1:  # the step starts them itself (jobs.ranks)
            together = {"WORLD_SIZE": str(several), "LOCAL_WORLD_SIZE": str(several), "GROUP_RANK": "0"}
            return start_cold(self.python, step, arguments, output, {**environment, **together}, self._held)
        if not self.warm or self._in_vain or not STEPS[step].torch:
            if self.warm and not self._in_vain:
                self._server()
            return start_cold(self.python, step, arguments, output, environment, self._held)
        return self._server().start(step, arguments, output, cores)

    @property
    def _in_vain(self) -> bool:
        return self._warm_server is not None and not self._warm_server.alive and not self._warm_server.served

    def _server(self) -> WarmServer:
        if self._warm_server is None or not self._warm_server.alive:
            self._warm_server = WarmServer(self.python, self._environment(self.cores), self._held)
        return self._warm_server

    def _wait(self, seconds: float) -> None:
        """So long, or until a task that was forked may have ended."""
        if self._warm_server is not None and self._warm_server.alive:
            self._warm_server.wait(seconds)
        else:
            time.sleep(seconds)

    def _ask(self, ended: list[Ended], grace_s: float) -> None:
        for running in self._running.values():
            running.process.send_signal(signal.SIGTERM)
        asked = self.clock()
        saving = {key for key, running in self._running.items() if grace_s > QUICK_S and self._saves(running)}
        while self._running and self.clock() < asked + grace_s:
            ended += self.ended(POLL_S)
            if not saving & self._running.keys() and self.clock() >= asked + QUICK_S:
                return

    def _kill(self, ended: list[Ended]) -> None:
        for running in self._running.values():
            running.process.send_signal(signal.SIGKILL)
        deadline = self.clock() + KILLED_WITHIN_S
        while self._running and self.clock() < deadline:
            ended += self.ended(POLL_S)

    def _saves(self, running: _Running) -> bool:
        """Whether the task leaves a checkpoint when it is asked to stop: it trains, and has told so."""
        if not STEPS[running.task.step].saves:
            return False
        try:
            told = read_progress(self.store, running.task.key)
        except TlbatchError:
            return True
        return told is not None and float(told.get("time") or 0) >= running.started

    def _end(self, key: str) -> Ended:
        running = self._running.pop(key)
        code = running.process.returncode
        assert code is not None
        words = running.output.read_bytes()[-LAST_WORDS:].decode(errors="replace")
        running.output.unlink()
        return Ended(key, 128 - code if code < 0 else code, words)

    def _own_folder(self) -> Path:
        """For outputs and for the tasks' own scratch: a task that is killed leaves nothing behind.

        Nor does a driver, for long: its tasks, which may outlive it by a checkpoint, hold the folder, and whoever starts next
        removes it.
        """
        if self._scratch is None:
            self._scratch = Scratch(PREFIX)
        return self._scratch.path

    @property
    def _held(self) -> tuple[int, ...]:
        self._own_folder()
        return (self._scratch.descriptor,) if self._scratch is not None and self._scratch.descriptor is not None else ()

    def _output(self, task: Task) -> Path:
        output = self._own_folder() / task.key
        output.write_bytes(b"")
        return output

    def _environment(self, cores: int) -> dict[str, str]:
        threads = dict.fromkeys(THREAD_SETTINGS, str(cores))
        own = {
            "TMPDIR": str(self._own_folder()),
            "TLBATCH_CACHE": str(cache_folder()),
            "TLBATCH_PARENT": str(os.getpid()),
            "PYTHONUNBUFFERED": "1",
        }
        return {**os.environ, **BUSY_WAITING, **threads, **own}
