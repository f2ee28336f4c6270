"""Tasks as processes of this machine: ``python -m jobs.<step>``, as many at once as there are cores for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tlbatch.backends.protocol import Ended
from tlbatch.planning import Node
from tlbatch.store import Store
from tlbatch.tasks import Task, task_name

POLL_S = 0.05
LAST_WORDS = 4000  # bytes of a process's own output that are kept for when it could not say itself why it ended
THREAD_SETTINGS = ("TLBATCH_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
BUSY_WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}


@dataclass
class _Running:
    task: Task
    cores: int
    process: subprocess.Popen[bytes]
    output: IO[bytes]


@dataclass
class LocalBackend:
    """Light tasks take one core each, heavy ones all of them: so the thread count, and with it every bit, is settled."""

    store: Store
    cores: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    python: str = sys.executable
    name: str = "local"
    clock: Callable[[], float] = time.monotonic
    _running: dict[str, _Running] = field(default_factory=dict)

    def cores_of(self, node: Node) -> int:
        """Compute threads that a task of this node gets."""
        return self.cores if node.weight == "heavy" else 1

    def has_room(self, node: Node) -> bool:
        return sum(running.cores for running in self._running.values()) + self.cores_of(node) <= self.cores

    def start(self, task: Task, node: Node) -> None:
        if task.key in self._running:
            return
        cores = self.cores_of(node)
        output = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the process has ended
        process = subprocess.Popen(
            [self.python, "-m", f"jobs.{task.step}", "--task", f"{self.store.url}/{task_name(task.key)}"],
            env=self._environment(cores),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the terminal reaches the driver alone, which then asks each task to stop
        )
        self._running[task.key] = _Running(task, cores, process, output)

    def ended(self, timeout_s: float) -> list[Ended]:
        deadline = self.clock() + timeout_s
        while True:
            over = [key for key, running in self._running.items() if running.process.poll() is not None]
            if over or not self._running or self.clock() >= deadline:
                return [self._end(key) for key in over]
            time.sleep(POLL_S)

    def stop(self, grace_s: float) -> list[Ended]:
        for running in self._running.values():
            if running.process.poll() is None:
                running.process.send_signal(signal.SIGTERM)
        deadline, ended = self.clock() + grace_s, []
        while self._running and self.clock() < deadline:
            ended += self.ended(POLL_S)
        for running in self._running.values():
            running.process.kill()
        for key in list(self._running):
            self._running[key].process.wait()
            ended.append(self._end(key))
        return ended

    def _end(self, key: str) -> Ended:
        running = self._running.pop(key)
        code = running.process.returncode
        with running.output as output:
            output.seek(0, os.SEEK_END)
            output.seek(max(0, output.tell() - LAST_WORDS))
            words = output.read().decode(errors="replace")
        return Ended(key, 128 - code if code < 0 else code, words)

    def _environment(self, cores: int) -> dict[str, str]:
        cache = os.environ.get("TLBATCH_CACHE") or str(Path.home() / ".cache" / "tlbatch")
        threads = dict.fromkeys(THREAD_SETTINGS, str(cores))
        own = {"TLBATCH_CACHE": cache, "TLBATCH_PARENT": str(os.getpid()), "PYTHONUNBUFFERED": "1"}
        return {**os.environ, **BUSY_WAITING, **threads, **own}
