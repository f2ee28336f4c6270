"""What every step shares: signals first, then the task, its inputs, progress, logs, checkpoints, commit, exit reason.

A step file reads::

    from jobs.runtime import Context, step_main

    def run(context: Context) -> None: ...

    if __name__ == "__main__":
        step_main("prepare", run)

Heavy imports belong inside ``run`` (or modules it imports lazily), after the signal handlers stand.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn, TextIO

from jobs import ranks
from jobs.context import Context
from jobs.refusals import refused
from jobs.worklog import LogPieces, write_exit
from tlbatch import output
from tlbatch.errors import DeadlineError, Stopped, StudyError, TlbatchError, TransientError
from tlbatch.logins import without_logins
from tlbatch.records.task_records import read_exit
from tlbatch.scratch import Scratch
from tlbatch.steps import more_memory
from tlbatch.store import NotFoundError, open_store
from tlbatch.store.artifacts import load_manifest
from tlbatch.store.documents import WRONG, what
from tlbatch.tasks import Task, task_name

_PR_SET_PDEATHSIG = 1


class StopRequest:
    """Set by SIGTERM or SIGINT; steps ask for it between batches."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def install(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self.signal = number

    def __bool__(self) -> bool:
        return self.signal is not None


def step_main(step: str, run: Callable[[Context], None], argv: list[str] | None = None) -> None:
    """Run one task and end the process with its exit code (see tlbatch.errors). Never returns."""
    stop = StopRequest()
    stop.install()
    end_with_parent()
    output.install()
    arguments = _parse(step, argv)
    try:
        own = ranks.member(os.environ)
        several = ranks.to_start(os.environ)
    except StudyError as error:
        _say(f"{step}: {error}", sys.stderr)
        sys.exit(error.exit_code)
    if several:
        sys.exit(ranks.run_together(step, sys.argv[1:] if argv is None else argv, lambda: bool(stop)))
    code = _run_task(step, run, arguments, stop, own)
    if own is not None:
        _leave(code)
    sys.exit(code)


def _leave(code: int) -> NoReturn:
    """At once: what torch has open to a process that is gone may wait for it at the interpreter's own end."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def end_with_parent() -> None:
    """Have the system ask this process to stop when the driver that started it is gone (Linux; TLBATCH_PARENT names it)."""
    parent = os.environ.get("TLBATCH_PARENT")
    if parent and sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != int(parent):
            sys.exit(Stopped.exit_code)


def _parse(step: str, argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"python -m jobs.{step}",
        description=f"The {step} step: computes one task and commits its artifact.",
        epilog=f"example: python -m jobs.{step} --task s3://bucket/prefix/tasks/<key>.json",
    )
    parser.add_argument("--task", required=True, metavar="URL", help="the task document, <store>/tasks/<key>.json")
    parser.add_argument("--shard", metavar="I/N", type=_shard, default=None, help="compute only part I of N (from 0)")
    parser.add_argument("--attempt", default=None, help="name of this attempt (default: made from time and process)")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser.parse_args(argv)


def _shard(text: str) -> tuple[int, int]:
    index, _, count = text.partition("/")
    if not (index.isdigit() and count.isdigit() and int(index) < int(count)):
        raise argparse.ArgumentTypeError(f"{text!r} is not I/N with 0 <= I < N")
    return int(index), int(count)


def _run_task(
    step: str,
    run: Callable[[Context], None],
    arguments: argparse.Namespace,
    stop: StopRequest,
    own: ranks.Member | None = None,
) -> int:
    attempt = (arguments.attempt or _attempt_name()) + ("" if own is None or own.leads else f"r{own.rank}")
    began = time.time()
    scratch = Scratch(f"tlbatch-{step}-")
    log: LogPieces | None = None
    context: Context | None = None
    lost = False
    try:
        store_url, task_path = _split_task_url(arguments.task)
        store = open_store(store_url)
        task = _load_task(store, task_path, step)
        if load_manifest(store, step, task.key) is not None:
            print(f"{step} {task.key[:12]}: already in the store", flush=True)
            return 0
        log = LogPieces(store, task.key, attempt, mark="" if own is None else f"[rank {own.rank}] ")
        log.start()
        context = Context(store, task, attempt, scratch.path, stop=lambda: bool(stop), shard=arguments.shard, member=own)
        _speak_of(context.kind)
        run(context)
        context.finish()
        code, sentence = 0, "done"
    except TlbatchError as error:
        code, sentence = error.exit_code, without_logins(f"{error}{error.way_out}")
        lost = isinstance(error, ranks.LostProcessError)
        if arguments.debug:
            traceback.print_exc()
    except KeyboardInterrupt:
        code, sentence = Stopped.exit_code, "asked to stop"
    except MemoryError:
        code, sentence = 137, f"out of memory: {more_memory(step)}"
    except Exception as error:  # noqa: BLE001 - the last line of defence: recorded, then the process ends with 1
        code, sentence = _unexpected(error, step, arguments.debug)
    if code:
        _say(f"{step}: {sentence}", sys.stderr)
    if log is not None and context is not None:
        log.stop()
        if not (lost and _told_by_another(context, began)):
            write_exit(context.store, context.task.key, attempt, code, sentence)
    if context is not None:
        context.close()
    scratch.remove()
    return code


def _told_by_another(context: Context, began: float) -> bool:
    """Whether the process that this one lost has said why it ended: that is why the task did."""
    try:
        told = read_exit(context.store, context.task.key)
    except TlbatchError:
        return False
    return told is not None and float(told.get("time") or 0) >= began and told["code"] != 0


def _speak_of(kind: str | None) -> None:
    from tlbatch.kinds import speak_of  # pydantic: not before the signal handlers stand

    speak_of(kind)


def _say(words: str, stream: TextIO) -> None:
    """Print what ended the task. Where that has no room either (its output lies on the disk that is full), exit.json has it."""
    try:
        print(words, file=stream, flush=True)
    except (OSError, TransientError):  # as it is, and as a Screen says it
        nowhere = os.open(os.devnull, os.O_WRONLY)  # else Python's own last flush fails, too, and makes another exit code
        for descriptor in (1, 2):
            os.dup2(nowhere, descriptor)


def _attempt_name() -> str:
    """Time and process; in a pod, where every process has number 1, the pod's own letters."""
    own = os.environ.get("TLBATCH_POD", "")[-5:] or f"{os.getpid():x}"
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{own}"


def _unexpected(error: Exception, step: str, debug: bool) -> tuple[int, str]:
    """Exit code and sentence of an error no step foresaw: what torch refuses has its own, all else is a bug."""
    found = refused(error, step)
    if debug:
        traceback.print_exc()
    else:
        _say("".join(traceback.format_exception(error)[-3:]), sys.stdout)  # for the stored log, not for the terminal
    return found or (1, f"{type(error).__name__}: {error} (a bug in tlbatch: run the task with --debug for the traceback)")


def _split_task_url(url: str) -> tuple[str, str]:
    root, middle, name = url.rpartition("/tasks/")
    if not middle:
        raise StudyError(f"--task {url}: not a task document's URL (expected <store>/tasks/<key>.json)")
    return root, f"tasks/{name}"


def _load_task(store: Any, path: str, step: str) -> Task:
    try:
        task = Task.from_json(store.get(path))
    except NotFoundError:
        raise StudyError(f"{store.url}/{path}: no such task document; `tlbatch run` and `tlbatch submit` write them") from None
    except WRONG as error:
        raise StudyError(f"{store.url}/{path}: not a task document ({what(error)})") from error
    if task.step != step:
        raise StudyError(f"{store.url}/{path} is a task of step {task.step}: run `python -m jobs.{task.step}`")
    if task_name(task.key) != path:
        raise StudyError(f"{store.url}/{path} was written by another version of tlbatch (its key is now {task.key[:12]}…)")
    return task


__all__ = ["Context", "DeadlineError", "StopRequest", "step_main"]
