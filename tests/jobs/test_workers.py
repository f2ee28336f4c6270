"""Processes that share work: results in order, and none is left however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from jobs.workers import LostWorkerError, Workers
from tlbatch.errors import Stopped

ENDED_WITHIN_S = 10.0


def squared(number: int) -> tuple[int, int]:
    """The later, the sooner it is done."""
    time.sleep(0.02 * (7 - number % 8))
    return number * number, os.getpid()


def slow(number: int) -> int:
    time.sleep(60)
    return number


def refused(number: int) -> int:
    if number == 3:
        raise ValueError("three is not to be had")
    return number


class OfTwoError(Exception):
    def __init__(self, one: int, other: int) -> None:
        super().__init__(f"{one} and {other}")


def oddly_refused(number: int) -> int:
    raise OfTwoError(number, 2)


def without_memory(number: int) -> int:
    raise MemoryError


def killed(number: int) -> int:
    """As the system does where memory has run out."""
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def left(number: int) -> int:
    os._exit(7)


class Counting:
    """Holds what it opened: once a process."""

    def __init__(self) -> None:
        self.numbers = count()

    def __call__(self, piece: int) -> tuple[int, int]:
        return os.getpid(), next(self.numbers)


def here(_: object) -> int:
    return os.getpid()


def processes_of(workers: Workers) -> list[subprocess.Popen[bytes]]:
    return [worker.process for worker in workers._workers]


@pytest.mark.parametrize("processes", [1, 2, 5])
def test_in_order_whoever_is_done_first(processes: int) -> None:
    with Workers(processes) as workers:
        assert workers.count == processes
        made = list(workers.in_order(squared, range(24)))
        own = [process.pid for process in processes_of(workers)] or [os.getpid()]
    assert [square for square, _ in made] == [number * number for number in range(24)]
    assert {pid for _, pid in made} == set(own)


def test_again_and_with_other_work() -> None:
    with Workers(2) as workers:
        assert list(workers.in_order(abs, [-1, -2, 3])) == [1, 2, 3]
        assert list(workers.in_order(abs, [])) == []
        assert list(workers.in_order(refused, [1, 2])) == [1, 2]


def test_work_is_given_once_and_keeps_what_it_holds() -> None:
    with Workers(2) as workers:
        made = list(workers.in_order(Counting(), range(10)))
    for process in {pid for pid, _ in made}:
        numbers = [number for pid, number in made if pid == process]
        assert numbers == list(range(len(numbers)))


def test_no_more_is_given_out_than_may_wait(tmp_path: Path) -> None:
    """While the first is awaited, no piece beyond two a worker is begun."""
    with Workers(2) as workers:
        results = workers.in_order(Noting(tmp_path), range(50))
        next(results)
        time.sleep(0.3)
        begun = len(list(tmp_path.iterdir()))
        assert begun <= 4
        assert list(results) == list(range(1, 50))


class Noting:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, number: int) -> int:
        (self.folder / str(number)).touch()
        return number


@pytest.mark.parametrize("work", [slow, squared])
def test_a_stop_is_heard_while_they_compute_and_ends_them(work: Callable[[int], object]) -> None:
    asked = iter([False] * 3)

    def waiting() -> None:
        if next(asked, True):
            raise Stopped("asked to stop")

    began = time.monotonic()
    workers = Workers(2, waiting)
    own = processes_of(workers)
    with pytest.raises(Stopped), workers:
        list(workers.in_order(work, range(100)))
    assert time.monotonic() - began < ENDED_WITHIN_S
    assert len(own) == 2
    assert all(process.returncode is not None for process in own)


@pytest.mark.parametrize("processes", [1, 2])
def test_what_work_raises_is_raised_here(processes: int) -> None:
    with Workers(processes) as workers:
        own = processes_of(workers)
        results = workers.in_order(refused, range(9))
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(ValueError, match="three is not to be had") as caught:
            next(results)
    assert processes == 1 or "in refused" in caught.value.__notes__[0]
    assert all(process.returncode is not None for process in own)


def test_an_error_that_cannot_be_sent_is_told() -> None:
    with Workers(2) as workers, pytest.raises(RuntimeError, match="OfTwoError: 0 and 2"):
        list(workers.in_order(oddly_refused, [0]))


def test_memory_that_a_worker_lacks_is_this_processs_lack() -> None:
    """Which the runtime ends with 137 and a sentence."""
    with Workers(2) as workers, pytest.raises(MemoryError):
        list(workers.in_order(without_memory, [0]))


def test_a_killed_worker_is_a_sentence() -> None:
    with Workers(2) as workers:
        own = processes_of(workers)
        with pytest.raises(LostWorkerError, match="was killed, most likely for memory: raise the step's memory") as caught:
            list(workers.in_order(killed, range(5)))
    assert caught.value.exit_code == 137
    assert all(process.returncode is not None for process in own)


def test_a_worker_that_ends_otherwise_is_a_bug() -> None:
    with Workers(2) as workers, pytest.raises(RuntimeError, match="ended with 7"):
        list(workers.in_order(left, range(5)))


def test_where_no_process_can_be_started_all_is_computed_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started = subprocess.Popen
    allowed = iter([True])

    def few(*given: object, **named: object) -> object:
        if next(allowed, False):
            return started(*given, **named)  # type: ignore[call-overload]
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", few)
    with Workers(3) as workers:
        assert workers.count == 1
        assert list(workers.in_order(here, [0])) == [os.getpid()]
    assert "this step computes on one core" in capsys.readouterr().out


SEVERAL = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell runs the tests in the background
from jobs.workers import Workers
from tests.jobs.test_workers import {work}
with Workers(2) as workers:
    print(*(worker.process.pid for worker in workers._workers), flush=True)
    list(workers.in_order({work}, range(10**6)))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_none_outlives_the_process_that_started_it(number: signal.Signals) -> None:
    """Killed, or by Ctrl-C, which a terminal sends to the whole group: in silence, but for what this process itself says."""
    with subprocess.Popen(
        [sys.executable, "-c", SEVERAL.format(work="squared")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        own = [int(pid) for pid in process.stdout.readline().split()]
        time.sleep(0.5)
        os.killpg(process.pid, number)
        deadline = time.monotonic() + ENDED_WITHIN_S
        while any(alive(pid) for pid in own) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(own) == 2
        assert not any(alive(pid) for pid in own)
        assert process.stderr.read().count("Traceback") == (number == signal.SIGINT)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state) and not state.startswith("Z")


def test_a_worker_imports_no_more_than_the_search_needs() -> None:
    """No torch, no pydantic, no Pillow, no client of a store: each worker holds all that once more."""
    code = "import jobs.workers, jobs.kinds.image.examination, sys; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = {name.partition(".")[0] for name in said.split()}
    assert "numpy" in loaded
    assert not loaded & {"torch", "pydantic", "PIL", "boto3", "sklearn", "scipy", "matplotlib"}
