"""Tasks as processes: how many at once, with how many threads, how they end, and that none outlives its driver."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tlbatch.backends import Ended
from tlbatch.backends.local import LocalBackend, processes_of
from tlbatch.planning import Node
from tlbatch.store.directory import DirectoryStore
from tlbatch.tasks import Task, task_name

STAND_IN = """#!{python}
# stands in for `python -m jobs.<step> --task URL`: does what the task's parameters say
import json, os, signal, sys, time
task = json.load(open(sys.argv[sys.argv.index("--task") + 1]))
does = task["params"]
print("threads", os.environ["TLBATCH_THREADS"], os.environ["OMP_NUM_THREADS"], flush=True)
if does.get("stubborn"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("deaf", flush=True)
elif does.get("sleep"):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
time.sleep(does.get("sleep", 0))
if does.get("kill"):
    os.kill(os.getpid(), does["kill"])
sys.exit(does.get("code", 0))
"""


@pytest.fixture
def backend(tmp_path: Path) -> LocalBackend:
    python = tmp_path / "python"
    python.write_text(STAND_IN.format(python=sys.executable))
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    return LocalBackend(DirectoryStore(tmp_path / "store"), cores=2, python=str(python), warm=False)


def start(backend: LocalBackend, weight: str = "light", **does: object) -> Task:
    node = Node(f"task-{does}", "finetune", dict(does), weight=weight)
    task = node.task({})
    assert task is not None
    backend.store.put(task_name(task.key), task.to_json())
    backend.start(task, node)
    return task


def all_ended(backend: LocalBackend, count: int = 1) -> list[Ended]:
    ended: list[Ended] = []
    deadline = time.monotonic() + 20
    while len(ended) < count and time.monotonic() < deadline:
        ended += backend.ended(0.2)
    return ended


@pytest.mark.parametrize(("weight", "threads"), [("light", 1), ("heavy", 2)])
def test_threads_follow_the_weight(backend: LocalBackend, weight: str, threads: int) -> None:
    start(backend, weight)
    assert f"threads {threads} {threads}" in all_ended(backend)[0].output


def test_light_tasks_run_side_by_side_and_a_heavy_one_alone(backend: LocalBackend) -> None:
    light, heavy = Node("l", "finetune", {}, weight="light"), Node("h", "finetune", {}, weight="heavy")
    assert backend.has_room(heavy)
    start(backend, sleep=5)
    assert backend.has_room(light)
    assert not backend.has_room(heavy)
    start(backend, sleep=6)
    assert not backend.has_room(light)
    backend.stop(5)
    assert backend.has_room(heavy)


@pytest.mark.parametrize("code", [0, 1, 2, 65, 75, 124, 143])
def test_exit_codes_come_through(backend: LocalBackend, code: int) -> None:
    task = start(backend, code=code)
    assert [(e.key, e.code) for e in all_ended(backend)] == [(task.key, code)]


def test_a_signal_is_128_and_its_number(backend: LocalBackend) -> None:
    start(backend, kill=int(signal.SIGKILL))
    assert all_ended(backend)[0].code == 137


def test_starting_twice_changes_nothing(backend: LocalBackend) -> None:
    start(backend, sleep=0.3)
    start(backend, sleep=0.3)
    assert len(all_ended(backend, 2)) == 1


def test_stop_asks_first_and_kills_the_deaf(backend: LocalBackend) -> None:
    gentle, deaf = start(backend, sleep=30), start(backend, sleep=31, stubborn=True)
    time.sleep(1.0)  # their signal handlers stand
    codes = {e.key: e.code for e in backend.stop(1.5)}
    assert codes == {gentle.key: 143, deaf.key: 137}


def test_no_task_outlives_its_driver(tmp_path: Path) -> None:
    """The driver is killed outright: the system asks its task to stop (a real step's runtime sees to it)."""
    ready = tmp_path / "ready"
    child = f"""
import pathlib, signal, time
from jobs.runtime import StopRequest, end_with_parent
stop = StopRequest(); stop.install(); end_with_parent()
pathlib.Path({str(ready)!r}).write_text(str(__import__('os').getpid()))
while not stop: time.sleep(0.05)
"""
    parent = f"""
import os, subprocess, sys, time
os.environ["TLBATCH_PARENT"] = str(os.getpid())
subprocess.Popen([sys.executable, "-c", {child!r}], start_new_session=True)
time.sleep(60)
"""
    driver = subprocess.Popen([sys.executable, "-c", parent])
    deadline = time.monotonic() + 20
    while not ready.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.1)
    pid = int(ready.read_text())
    driver.kill()
    driver.wait()
    while Path(f"/proc/{pid}").exists() and _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(pid)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_document_is_what_the_step_reads(backend: LocalBackend) -> None:
    task = start(backend)
    assert json.loads(backend.store.get(task_name(task.key)))["key"] == task.key
    all_ended(backend)
    assert os.environ.get("TLBATCH_PARENT") is None


WARM_STAND_IN = """#!{python}
# stands in for `python -m jobs.warm`: writes down that it was started and what it was asked for, and says that it is done
import json, os, sys
if sys.argv[2] != "jobs.warm":
    sys.exit(0)
told, answers = open({told!r}, "a"), open(int(sys.argv[3]), "w")
print("what is printed is no answer", flush=True)
print(json.dumps({{"started": os.environ["OMP_NUM_THREADS"]}}), file=told, flush=True)
for line in sys.stdin:
    print(line, end="", file=told, flush=True)
    request = json.loads(line)
    print(json.dumps({{"id": request["id"], "pid": os.getpid()}}), file=answers, flush=True)
    print(json.dumps({{"id": request["id"], "code": 0}}), file=answers, flush=True)
    if os.path.exists({told!r} + ".die"):
        os._exit(1)
"""


@pytest.fixture
def told(tmp_path: Path, backend: LocalBackend) -> Path:
    """What warm servers of the backend were started and asked."""
    found = tmp_path / "told"
    Path(backend.python).write_text(WARM_STAND_IN.format(python=sys.executable, told=str(found)))
    backend.warm = True
    return found


def lines(told: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in told.read_text().splitlines()]


def test_one_warm_process_serves_every_number_of_threads(told: Path, backend: LocalBackend) -> None:
    """Mutations tried: a server for each number, as before; the light task's number for all; none before torch is needed."""
    node = Node("p", "prepare", {}, weight="light")
    task = node.task({})
    assert task is not None
    backend.start(task, node)
    all_ended(backend)
    until = time.monotonic() + 10
    while not told.exists() and time.monotonic() < until:
        time.sleep(0.02)
    assert told.exists(), "prepare runs alone, and what follows waits for torch"
    for weight in ("heavy", "light", "heavy"):
        start(backend, weight, number=len(lines(told)))
        assert [ended.code for ended in all_ended(backend)] == [0]
    backend.close()
    assert [said.get("started") or said["threads"] for said in lines(told)] == ["2", 2, 1, 2]


def test_a_warm_process_that_died_is_followed_by_another(told: Path, backend: LocalBackend) -> None:
    for number in range(2):
        told.with_suffix(".die").touch()
        start(backend, number=number)
        assert [ended.code for ended in all_ended(backend)] == [0]
        assert backend._warm_server is not None
        until = time.monotonic() + 10
        while backend._warm_server.alive and time.monotonic() < until:
            time.sleep(0.02)
    backend.close()
    assert [bool(said.get("started")) for said in lines(told)] == [True, False, True, False]


DYING_STAND_IN = """#!{python}
# stands in for python: a warm process dies of its imports, a step says so itself
import os, sys
if sys.argv[2] == "jobs.warm":
    open({told!r}, "a").write("warm\\n")
    sys.exit(1)
print("no libexample here, threads", os.environ["OMP_NUM_THREADS"], os.environ["TLBATCH_THREADS"])
sys.exit(65)
"""


def test_where_the_warm_process_cannot_live_tasks_start_without_it(tmp_path: Path, backend: LocalBackend) -> None:
    """A library that does not load there ended every task as "killed, most likely for want of memory", its words unheard.

    Mutations tried: they count as killed; another warm process for each task; the most threads for all.
    """
    told = tmp_path / "told"
    Path(backend.python).write_text(DYING_STAND_IN.format(python=sys.executable, told=str(told)))
    backend.warm = True
    for weight, threads in (("light", 1), ("heavy", 2)):
        start(backend, weight, number=threads)
        assert [(e.code, e.output) for e in all_ended(backend)] == [(65, f"no libexample here, threads {threads} {threads}\n")]
    start(backend, "light", number=3)
    assert {e.code for e in backend.stop(5)} <= {65, 137, 143}
    assert told.read_text().splitlines() == ["warm"]


@pytest.mark.parametrize(
    ("limits", "cores", "gpus", "processes"),
    [
        ({}, 8, 0, 1),
        ({"nodes": 4}, 8, 0, 4),
        ({"nodes": 4}, 2, 0, 2),
        ({"nodes": 1, "gpu": 8}, 8, 0, 1),
        ({"nodes": 1, "gpu": 8}, 8, 2, 2),
        ({"nodes": 2, "gpu": 2}, 8, 8, 4),
    ],
)
def test_how_many_processes_train_together_on_one_machine(
    limits: dict[str, int], cores: int, gpus: int, processes: int
) -> None:
    assert processes_of(limits, cores, gpus) == processes
