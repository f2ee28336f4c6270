"""Processes of tasks: started from nothing, or forked from one that has the heavy libraries imported already."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from tlbatch.environment import THREAD_SETTINGS

ANSWER_S = 0.5


class Process(Protocol):
    """What the local backend needs of a process. ``returncode``: negative for a signal, None while it runs."""

    @property
    def returncode(self) -> int | None: ...

    def poll(self) -> int | None: ...

    def send_signal(self, number: int) -> None: ...


def start_cold(
    python: str, step: str, arguments: list[str], output: Path, environment: Mapping[str, str], held: Sequence[int] = ()
) -> Process:
    """``python -m jobs.<step>``. ``held``: descriptors that stay open in it (tlbatch.scratch)."""
    with output.open("ab") as file:
        return ColdProcess(
            [python, "-m", f"jobs.{step}", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            pass_fds=held,
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
    """A task's process that a ``WarmServer`` forked; it tells of its end. ``abandoned``: ended before it was forked.

    ``cold`` starts it from nothing, where the server died before it was forked: what ails it is the step's own to say.
    """

    server: WarmServer
    cold: Callable[[], Process]
    pid: int | None = None
    returncode: int | None = None
    abandoned: bool = False
    alone: Process | None = None

    def poll(self) -> int | None:
        self.server.listen()
        if self.alone is not None:
            self.returncode = self.alone.poll()
        return self.returncode

    @property
    def begun(self) -> bool:
        return self.pid is not None or self.alone is not None or self.returncode is not None

    def send_signal(self, number: int) -> None:
        """One that was not forked yet, because its server still imports, has nothing to save: it counts as ended at once.

        The server goes on, with what others asked of it.
        """
        if not self.begun and not self.server.answers(self):
            self.returncode, self.abandoned = -number, True
            self.server.forget(self)
        if self.alone is not None:
            self.alone.send_signal(number)
        elif self.pid is not None and self.returncode is None:
            signal_process(self.pid, number)


class WarmServer:
    """``python -m jobs.warm``, importing in the background from the start. Ends with its driver.

    ``environment``: of its processes, too, but for their number of threads; that in it is the most that one may have.
    ``held``: descriptors that stay open in all of them.

    Its answers have a pipe of their own, since any library may print while it is imported. All that it forks hold that pipe,
    too: its end says that server and children are gone.
    """

    def __init__(self, python: str, environment: Mapping[str, str], held: Sequence[int] = ()) -> None:
        self._answers, theirs = os.pipe()
        try:
            self._process = subprocess.Popen(
                [python, "-m", "jobs.warm", str(theirs)],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(*held, theirs),
                start_new_session=True,
            )
        except BaseException:
            os.close(self._answers)
            raise
        finally:
            os.close(theirs)
        os.set_blocking(self._answers, False)
        self._python, self._environment, self._held = python, environment, held
        self._forked: dict[str, ForkedProcess] = {}
        self._rest = b""
        self._over = False
        self.served = False  #: whether it has forked any

    @property
    def alive(self) -> bool:
        return not self._over and self._process.poll() is None

    def start(self, step: str, arguments: list[str], output: Path, threads: int) -> Process:
        """Ask for a task's process, to compute with so many threads; it starts once the imports are done."""
        environment = {**self._environment, **dict.fromkeys(THREAD_SETTINGS, str(threads))}
        cold = partial(start_cold, self._python, step, arguments, output, environment, self._held)
        identity = f"{len(self._forked)}"
        process = self._forked[identity] = ForkedProcess(self, cold)
        with contextlib.suppress(OSError):  # it has died, which ``listen`` sees
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
        until = time.monotonic() + ANSWER_S
        while not process.begun:
            if not select.select([self._answers], [], [], max(0.0, until - time.monotonic()))[0]:
                return False
            self.listen()
        return True

    def wait(self, timeout_s: float) -> None:
        """Until it tells something, at most so long."""
        if select.select([self._answers], [], [], timeout_s)[0]:
            self.listen()

    def listen(self) -> None:
        """Take in what the server has told. Children of one that died are asked to stop by the system: they count as ended so,
        once all of them are gone, for none may run twice.

        What it had not forked yet is started from nothing.
        """
        if self._over:
            return
        try:
            data = os.read(self._answers, 65536)
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
            self.served = True
        if not data:
            self._over = True
            for process in self._forked.values():
                if not process.begun:
                    process.alone = process.cold()
                elif process.returncode is None:
                    process.returncode = -signal.SIGTERM

    def close(self) -> None:
        """End the server; its last children have ended before."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        if self._answers >= 0:
            os.close(self._answers)
            self._answers, self._over = -1, True
