"""Processes that a warm server forks: one that is ended before it was forked takes no other with it."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from tlbatch.backends.processes import WarmServer

WITHIN_S = 120.0


@pytest.mark.slow
def test_one_that_is_killed_while_its_server_imports_ends_alone(tmp_path: Path) -> None:
    """The other runs: it says, in its own words, that its task document is not there. The killed one never starts."""
    server = WarmServer(sys.executable, os.environ)
    try:
        outputs = [tmp_path / "killed", tmp_path / "other"]
        for output in outputs:
            output.write_bytes(b"")
        killed, other = (server.start("evaluate", ["--task", f"{tmp_path}/tasks/none.json"], output, 1) for output in outputs)
        killed.send_signal(signal.SIGKILL)
        assert killed.poll() == -signal.SIGKILL
        assert other.poll() is None
        until = time.monotonic() + WITHIN_S
        while other.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        assert other.poll() is not None
        assert other.poll() > 0
        assert b"none.json" in outputs[1].read_bytes()
        assert outputs[0].read_bytes() == b""
    finally:
        server.close()


def test_one_that_is_ended_after_its_server_died_starts_alone_and_ends(tmp_path: Path) -> None:
    """Fails when a dead server is asked for an answer for ever."""
    dying = tmp_path / "python"
    dying.write_text(f"#!{sys.executable}\nimport sys, time\nsys.exit(1) if sys.argv[2] == 'jobs.warm' else time.sleep(60)\n")
    dying.chmod(0o755)
    server, output = WarmServer(str(dying), os.environ), tmp_path / "output"
    try:
        output.write_bytes(b"")
        process = server.start("evaluate", [], output, 1)
        until = time.monotonic() + WITHIN_S
        while server.alive and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        while process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        assert process.returncode == -signal.SIGKILL
        assert not server.served
    finally:
        server.close()


FORKING = """#!{python}
# stands in for `python -m jobs.warm`: forks one, which takes its time to end when its server dies
import json, os, sys, time
answers = open(int(sys.argv[3]), "w")
request = json.loads(sys.stdin.readline())
pid = os.fork()
if pid == 0:
    time.sleep(1.5)
    open({told!r}, "w").write("saved")
    os._exit(0)
print("a library's greeting")
print(json.dumps({{"id": request["id"], "pid": pid}}), file=answers, flush=True)
sys.stdout.flush()
time.sleep(0.2)
os._exit(1)
"""


def test_one_whose_server_died_counts_as_ended_when_it_is_gone(tmp_path: Path) -> None:
    """Else it was started once more beside itself. And it was not killed "for want of memory". Both failed before."""
    python, told = tmp_path / "python", tmp_path / "told"
    python.write_text(FORKING.format(python=sys.executable, told=str(told)))
    python.chmod(0o755)
    server = WarmServer(str(python), os.environ)
    try:
        process, until = server.start("evaluate", [], tmp_path / "output", 1), time.monotonic() + WITHIN_S
        while process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        assert not server.alive
        assert told.read_text() == "saved"
        assert process.poll() == -signal.SIGTERM
    finally:
        server.close()
