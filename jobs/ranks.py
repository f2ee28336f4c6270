"""Several processes that train one task together: who is which, as torchrun's environment says, and starting those of a pod.

``WORLD_SIZE`` processes in all; ``RANK`` is this one's number, 0 leads: it alone writes checkpoints, progress and the artifact.
``MASTER_ADDR`` and ``MASTER_PORT`` are where rank 0 listens; ``LOCAL_RANK`` is the number on its machine, and so that of its
GPU. A backend that wants several processes on one machine (one a GPU) sets ``WORLD_SIZE``, ``LOCAL_WORLD_SIZE`` and
``GROUP_RANK`` (the machine's number) without ``RANK``: the step's process then starts them, waits, and ends as they did.
So a task may also be started by torchrun itself.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tlbatch.environment import THREAD_SETTINGS
from tlbatch.errors import FINAL_CODES, Stopped, StudyError, TransientError

HERE = "127.0.0.1"
PORT = 29500  # torchrun's own
POLL_S = 0.1
OTHERS_END_WITHIN_S = 30.0
"""How long the others of a machine have, once one ended badly, to notice, save and end: then they are killed."""


class LostProcessError(TransientError):
    """Another process of the group is gone or does not answer: all go on together from the last checkpoint."""


@dataclass(frozen=True)
class Member:
    """One process of a group. ``address`` and ``port``: of rank 0."""

    rank: int
    size: int
    local_rank: int
    address: str
    port: int

    @property
    def leads(self) -> bool:
        return self.rank == 0


def member(environment: Mapping[str, str]) -> Member | None:
    """This process's place in its group; None where it trains alone. Raises StudyError for what is no such environment."""
    if _number(environment, "WORLD_SIZE", 1) == 1 or "RANK" not in environment:
        return None
    size, rank = _number(environment, "WORLD_SIZE", 1), _number(environment, "RANK", 0)
    if not 0 <= rank < size:
        raise StudyError(f"RANK {rank} of WORLD_SIZE {size}: expected 0 to {size - 1}")
    address, port = environment.get("MASTER_ADDR") or HERE, _number(environment, "MASTER_PORT", PORT)
    return Member(rank, size, _number(environment, "LOCAL_RANK", 0), address, port)


def to_start(environment: Mapping[str, str]) -> int:
    """How many processes this one has to start; 0: none, it is one itself."""
    if _number(environment, "WORLD_SIZE", 1) == 1 or "RANK" in environment:
        return 0
    return _number(environment, "LOCAL_WORLD_SIZE", 1)


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isdigit():
        raise StudyError(f"{name}={text!r} in the environment: expected a number, as torchrun sets it")
    return int(text)


def environments(environment: Mapping[str, str], parent: int) -> list[dict[str, str]]:
    """Of the processes to start: torchrun's variables, and each its share of the threads. ``parent``: whose end is theirs."""
    count = to_start(environment)
    first = _number(environment, "GROUP_RANK", 0) * count
    shared = {"LOCAL_WORLD_SIZE": str(count), "TLBATCH_PARENT": str(parent)}
    if "MASTER_ADDR" not in environment:
        shared |= {"MASTER_ADDR": HERE, "MASTER_PORT": str(free_port())}
        shared |= {"GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {}
    for name in THREAD_SETTINGS:
        threads = int(environment.get(name) or len(os.sched_getaffinity(0)))
        shared[name] = str(max(1, threads // count))
    own = [{"RANK": str(first + place), "LOCAL_RANK": str(place)} for place in range(count)]
    return [{**environment, **shared, **each} for each in own]


def free_port() -> int:
    """One of this machine that nobody listened on a moment ago."""
    with socket.socket() as found:
        found.bind((HERE, 0))
        return int(found.getsockname()[1])


def run_together(step: str, argv: Sequence[str], stopping: Callable[[], bool]) -> int:
    """Start this machine's processes of ``python -m jobs.<step>``, and wait for them. Their common exit code."""
    command = [sys.executable, "-m", f"jobs.{step}", *argv]
    processes = [subprocess.Popen(command, env=each) for each in environments(os.environ, os.getpid())]
    return _wait(processes, stopping)


def _wait(processes: list[subprocess.Popen[bytes]], stopping: Callable[[], bool]) -> int:
    asked, bad_since = False, None
    try:
        while any(process.poll() is None for process in processes):
            if stopping() and not asked:
                asked = True
                _tell(processes, signal.SIGTERM)
            if bad_since is None and any(process.returncode for process in processes):
                bad_since = time.monotonic()
            if bad_since is not None and time.monotonic() - bad_since > OTHERS_END_WITHIN_S:
                _tell(processes, signal.SIGKILL)
            time.sleep(POLL_S)
    finally:
        _tell(processes, signal.SIGKILL)
    return common_code([process.returncode for process in processes])


def _tell(processes: list[subprocess.Popen[bytes]], number: int) -> None:
    for process in processes:
        if process.poll() is None:
            process.send_signal(number)


def common_code(codes: Sequence[int]) -> int:
    """What a machine's processes ended with, as one exit code: that of who caused it.

    What trying again cannot fix comes first, then a signal or a crash, then a stop; last "come back later", with which those
    end who lost another.
    """
    bad = [128 - code if code < 0 else code for code in codes if code]

    def weight(code: int) -> int:
        if code in FINAL_CODES:
            return 0
        return {TransientError.exit_code: 3, Stopped.exit_code: 2}.get(code, 1)

    return min(bad, key=weight, default=0)
