"""Several processes for a test, forked (an import of torch costs seconds), that meet and train by real gloo."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable

from jobs.ranks import HERE, Member, free_port
from tlbatch.errors import TlbatchError

WITHIN_S = 60.0
LOOPBACK = {"GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {}


def together(size: int, work: Callable[[Member], None]) -> list[int]:
    """Run ``work`` in each of so many processes; their exit codes by rank: of the errors that ended them, -9 where killed."""
    port = free_port()
    pids = [_fork(Member(rank, size, rank, HERE, port), work) for rank in range(size)]
    codes: dict[int, int] = {}
    until = time.monotonic() + WITHIN_S
    while len(codes) < size and time.monotonic() < until:
        for rank, pid in enumerate(pids):
            if rank not in codes:
                found, status = os.waitpid(pid, os.WNOHANG)
                codes |= {rank: os.waitstatus_to_exitcode(status)} if found else {}
        time.sleep(0.02)
    hung = [rank for rank in range(size) if rank not in codes]
    for rank in hung:
        os.kill(pids[rank], signal.SIGKILL)
        os.waitpid(pids[rank], 0)
    assert not hung, f"ranks {hung} of {size} have not ended within {WITHIN_S} s; codes of the others: {codes}"
    return [codes[rank] for rank in range(size)]


def _fork(member: Member, work: Callable[[Member], None]) -> int:
    if pid := os.fork():
        return pid
    code = 1
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # with its parent
        os.environ |= LOOPBACK
        work(member)
        code = 0
    except TlbatchError as error:
        print(f"rank {member.rank}: {error}", file=sys.stderr)
        code = error.exit_code
    except BaseException:  # noqa: BLE001 - a fork of pytest must never go on as pytest
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)
