"""Processes of this machine that share a task's work: pieces of it are given out in order, and what comes of them is taken so.

Each is a Python of its own (``python -m jobs.workers``), at the other end of a socket: it imports what the work needs and no
more, holds no lock and no memory in common with this process, and needs no /dev/shm. It ends when the socket does, so with
this process, however that ends. It is in a session of its own: a Ctrl-C in the terminal, or a signal to a whole group, reaches
this process alone, which then ends the others.

Not ``concurrent.futures``: its processes live on where this one is killed, nothing public ends them at once before Python 3.14,
and its queues need semaphores, which lie in /dev/shm.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any, NoReturn, TypeVar

from tlbatch import output
from tlbatch.environment import THREAD_SETTINGS
from tlbatch.errors import TlbatchError

Piece = TypeVar("Piece")
Result = TypeVar("Result")
POLL_S = 0.2  # within which a stop request is heard
AHEAD = 2  # pieces for each worker whose results may wait for an earlier one's
ONE_THREAD = dict.fromkeys(THREAD_SETTINGS, "1")


class LostWorkerError(TlbatchError):
    """A worker was killed, by the system for the memory that all hold together."""

    exit_code = 137


class _Worker:
    """One process, and this end of the socket to it."""

    def __init__(self) -> None:
        self.connection, theirs = Pipe()
        command = [sys.executable, "-m", "jobs.workers", str(theirs.fileno())]
        with theirs:
            self.process = subprocess.Popen(
                command,
                env={**os.environ, **ONE_THREAD},
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self.work: Any = None  #: what it was given last

    def give(self, work: Callable[[Any], Any], piece: Any) -> None:
        try:
            self.connection.send((None if self.work is work else work, piece))
        except OSError:
            self._lost()
        self.work = work

    def take(self) -> tuple[Any, Exception | None]:
        """What came of the piece, or what it raised. Raises LostWorkerError."""
        try:
            answer: tuple[Any, Exception | None] = self.connection.recv()
        except (EOFError, OSError):
            self._lost()
        return answer

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.connection.close()

    def _lost(self) -> NoReturn:
        code = self.process.wait()
        if code == -signal.SIGKILL:
            raise LostWorkerError(
                "one of the processes that share this step's work was killed, most likely for memory: raise the step's "
                "memory, or lower its cpu: each core has a process of its own"
            )
        raise RuntimeError(f"one of the processes that share this step's work ended with {code}")


class Workers:
    """``count`` processes, or with one none: then all is computed here. A context, which ends them.

    ``waiting`` is called again and again meanwhile, and may raise (a stop request). After that, or an error, nothing more can
    be asked of them.
    """

    def __init__(self, count: int, waiting: Callable[[], None] = lambda: None) -> None:
        self._waiting = waiting
        self._workers: list[_Worker] = []
        try:
            for _ in range(count if count > 1 else 0):
                self._workers.append(_Worker())
        except OSError as error:  # a pod may have as many processes as it is let
            self.close()
            print(f"no further processes can be started ({error}): this step computes on one core", flush=True)

    @property
    def count(self) -> int:
        """Of the processes that compute."""
        return len(self._workers) or 1

    def in_order(self, work: Callable[[Piece], Result], pieces: Sequence[Piece]) -> Iterator[Result]:
        """``work`` of each piece, in the pieces' order. It is pickled once for each process, what it holds open is its own.

        To other processes so many pieces are given before one is awaited that no more than ``AHEAD`` results each are held.
        Raises what it raises, in its turn, and LostWorkerError.
        """
        return self._shared(work, pieces) if self._workers else self._alone(work, pieces)

    def _alone(self, work: Callable[[Piece], Result], pieces: Sequence[Piece]) -> Iterator[Result]:
        for piece in pieces:
            self._waiting()
            yield work(piece)

    def _shared(self, work: Callable[[Piece], Result], pieces: Sequence[Piece]) -> Iterator[Result]:
        idle, doing, done = [*self._workers], dict[Any, tuple[_Worker, int]](), dict[int, Any]()
        given = 0
        for place in range(len(pieces)):
            awaited = False
            while not awaited:
                while idle and given < min(len(pieces), place + AHEAD * self.count):
                    worker = idle.pop()
                    worker.give(work, pieces[given])
                    doing[worker.connection] = worker, given
                    given += 1
                for connection in wait(list(doing), 0 if place in done else POLL_S):
                    worker, at = doing.pop(connection)
                    done[at] = worker.take()
                    idle.append(worker)
                self._waiting()
                awaited = place in done
            result, error = done.pop(place)
            if error is not None:
                raise error
            yield result

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End them, whatever they do."""
        for worker in self._workers:
            worker.end()
        self._workers = []


def serve(connection: Connection) -> None:
    """What a worker does, until the other end is closed."""
    work: Any = None
    while True:
        try:
            new, piece = connection.recv()
        except (EOFError, OSError):
            return
        work = work if new is None else new
        answer: tuple[Any, Exception | None]
        try:
            answer = work(piece), None
        except Exception as error:  # noqa: BLE001 - raised again where the result is awaited
            answer = None, _portable(error)
        try:
            connection.send(answer)
        except OSError:
            return


def _portable(error: Exception) -> Exception:
    """The error with where it was raised, as one that can be sent."""
    error.add_note("".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - whatever an error's own class does when it is made anew
        return RuntimeError("\n".join(error.__notes__))
    return error


if __name__ == "__main__":
    output.install()
    serve(Connection(int(sys.argv[1])))
