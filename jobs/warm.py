"""A process that has imported what the torch steps need, and forks a task's own process whenever asked.

Importing torch and torchvision takes many times as long as a small task; this pays it once a driver. Requests come as JSON
lines on stdin (``{"id", "step", "arguments", "output", "threads"}``); answers go to the descriptor that its argument names:
``{"id", "pid"}`` at a start and ``{"id", "code"}`` at the end (negative: the signal that ended it). The end of stdin ends it.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import selectors
import signal
import sys
import traceback
from contextlib import suppress
from typing import Any, NoReturn

from jobs.runtime import end_with_parent, step_main
from jobs.telemetry import load_openvino
from tlbatch.environment import THREAD_SETTINGS

PRELOAD = (
    "torch",
    "torchvision",
    "scipy.special",
    "threadpoolctl",
    "PIL.Image",
    "scipy.optimize",
    "jobs.training.trainer",
    "jobs.strategies.network",
    "jobs.kinds.image.pixels",
    "jobs.extraction.engine",
    "jobs.models.building",
    "jobs.evaluation.trained",
)


def main() -> None:
    """Serve until stdin ends."""
    end_with_parent()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    preload()
    _Server(int(sys.argv[1])).serve()


def preload() -> None:
    """Import, and start no thread: what is forked would not have it, but what it holds."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # it starts its threads when it is loaded
    gc.disable()  # what is imported stays: looking through it for garbage takes a quarter of the time
    for name in PRELOAD:
        importlib.import_module(name)
    with suppress(Exception):  # then torch computes, and says so
        load_openvino()


class _Server:
    """Forks on request and tells of ends. No threads: what is forked must not find another's locks taken."""

    def __init__(self, answers: int) -> None:
        self._children: dict[int, str] = {}
        self._answers = answers
        self._wake, wake_write = _pipe()
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)

    def serve(self) -> None:
        selector = selectors.DefaultSelector()
        for source in (0, self._wake):
            selector.register(source, selectors.EVENT_READ)
        asked, forgotten = _Lines(), set[str]()
        while True:
            for key, _ in selector.select():
                data = os.read(key.fd, 65536)
                if key.fd == self._wake:
                    self._reap()
                elif not data:
                    return
                else:
                    requests = [json.loads(line) for line in asked.of(data)]
                    forgotten |= {request["forget"] for request in requests if "forget" in request}
                    for request in requests:
                        if "forget" not in request and request["id"] not in forgotten:
                            self._fork(request)

    def _fork(self, request: dict[str, Any]) -> None:
        gc.freeze()
        pid = os.fork()
        if pid == 0:
            _become(request)
        self._children[pid] = request["id"]
        self._tell({"id": request["id"], "pid": pid})

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            self._tell({"id": self._children.pop(pid), "code": os.waitstatus_to_exitcode(status)})

    def _tell(self, answer: dict[str, Any]) -> None:
        os.write(self._answers, (json.dumps(answer) + "\n").encode())


class _Lines:
    """What comes in pieces, as whole lines."""

    def __init__(self) -> None:
        self._rest = b""

    def of(self, data: bytes) -> list[str]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [line.decode() for line in lines]


def _pipe() -> tuple[int, int]:
    """To read from and to write to, neither of which waits."""
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    return ends


def _become(request: dict[str, Any]) -> NoReturn:
    """In the child: be ``python -m jobs.<step>`` with a session and an output of its own."""
    code = 1
    gc.enable()
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        os.environ["TLBATCH_PARENT"] = str(os.getppid())
        output = os.open(request["output"], os.O_WRONLY | os.O_APPEND)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(source, target)
        grant_threads(request["threads"])
        module = importlib.import_module(f"jobs.{request['step']}")
        step_main(request["step"], module.run, request["arguments"])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:  # noqa: BLE001 - nothing may return into the server's loop
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def grant_threads(count: int) -> None:
    """As if this process had been started with so many: for libraries that are loaded, torch among them, and later ones.

    OpenMP's threads of a Python thread that is yet to start are as many as when the library was loaded, which nothing can
    change: so this process is started with the most that any task gets.
    """
    import torch
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    os.environ.update(dict.fromkeys(THREAD_SETTINGS, str(count)))
    torch.set_num_threads(count)  # MKL's, too, which lies in torch
    threadpool_limits(count)


if __name__ == "__main__":
    main()
