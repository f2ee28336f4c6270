"""Processes of tasks: started from nothing, or forked from one that has the heavy libraries imported already."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

ANSWER_S = 0.5


class Process(Protocol):
    """What the local backend needs of a process. ``returncode``: negative for a signal, None while it runs."""

    @property
    def returncode(self) -> int | None: ...

    def poll(self) -> int | None: ...

    def send_signal(self, number: int) -> None: ...


def start_cold(python: str, step: str, arguments: list[str], output: Path, environment: Mapping[str, str]) -> Process:
    """``python -m jobs.<step>``."""
    with output.open("ab") as file:
        return ColdProcess(
            [python, "-m", f"jobs.{step}", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the terminal reaches the driver alone, which then asks each task to stop
        )


class ColdProcess(subprocess.Popen[bytes]):
    """A step's process, in a session of its own."""

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            signal_process(self.pid, number)


def signal_process(pid: int, number: int) -> None:
    """Ask the process, which leads a group; kill the group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if number == signal.SIGKILL:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, number)
        os.kill(pid, number)


@dataclass
class ForkedProcess:
    """A task's process that a ``WarmServer`` forked; it tells of its end. ``abandoned``: ended before it was forked."""

    server: WarmServer
    pid: int | None = None
    returncode: int | None = None
    abandoned: bool = False

    def poll(self) -> int | None:
        self.server.listen()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """One that was not forked yet, because its server still imports, has nothing to save: it counts as ended at once.

        The server goes on, with what others asked of it.
        """
        if self.pid is None and self.returncode is None and not self.server.answers(self):
            self.returncode, self.abandoned = -number, True
            self.server.forget(self)
        if self.pid is not None and self.returncode is None:
            signal_process(self.pid, number)


class WarmServer:
    """``python -m jobs.warm``, importing in the background from the start. Ends with its driver.

    ``environment``: of its processes, too, but for their number of threads; that in it is the most that one may have.
    """

    def __init__(self, python: str, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [python, "-m", "jobs.warm"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self._forked: dict[str, ForkedProcess] = {}
        self._rest = b""
        self._over = False

    @property
    def alive(self) -> bool:
        return not self._over and self._process.poll() is None

    def start(self, step: str, arguments: list[str], output: Path, threads: int) -> Process:
        """Ask for a task's process, to compute with so many threads; it starts once the imports are done."""
        identity = f"{len(self._forked)}"
        process = self._forked[identity] = ForkedProcess(self)
        self._ask({"id": identity, "step": step, "arguments": arguments, "output": str(output), "threads": threads})
        return process

    def forget(self, process: ForkedProcess) -> None:
        """Not to fork what was asked for."""
        identity = next(name for name, each in self._forked.items() if each is process)
        with contextlib.suppress(OSError):  # it has died, and forks nothing
            self._ask({"forget": identity})

    def _ask(self, request: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write((json.dumps(request) + "\n").encode())
        self._process.stdin.flush()

    def answers(self, process: ForkedProcess) -> bool:
        """Whether it says within ANSWER_S that ``process`` was forked: at once, unless it still imports."""
        assert self._process.stdout is not None
        until = time.monotonic() + ANSWER_S
        while process.pid is None and process.returncode is None:
            if not select.select([self._process.stdout], [], [], max(0.0, until - time.monotonic()))[0]:
                return False
            self.listen()
        return True

    def wait(self, timeout_s: float) -> None:
        """Until it tells something, at most so long."""
        assert self._process.stdout is not None
        if select.select([self._process.stdout], [], [], timeout_s)[0]:
            self.listen()

    def listen(self) -> None:
        """Take in what the server has told. A server that died took its children with it: they count as killed."""
        assert self._process.stdout is not None
        try:
            data = os.read(self._process.stdout.fileno(), 65536)
        except BlockingIOError:
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            answer = json.loads(line)
            process = self._forked[answer["id"]]
            if process.abandoned:
                if "pid" in answer:
                    signal_process(answer["pid"], signal.SIGKILL)
                continue
            process.pid, process.returncode = answer.get("pid", process.pid), answer.get("code")
        if not data:
            self._over = True
            for process in self._forked.values():
                process.returncode = -signal.SIGKILL if process.returncode is None else process.returncode

    def close(self) -> None:
        """End the server; its last children have ended before."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()
