"""Ctrl-C, SIGTERM and SIGHUP: the first asks to stop and is heard within seconds, whatever goes on; a second ends at once.

A command that has something to save asks ``stop_requests`` now and then. All others end by KeyboardInterrupt where they are,
or, where a library holds on (an import, a retry, a thread that is joined), after ``PATIENCE_S`` without more ado: what they
write is complete or absent.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

CODE = 143
PATIENCE_S = 4.0
HEARD_WITHIN_S, ENDED_WITHIN_S = 2.5, 2.4  # of a command that saves: until it looks, and then until it is gone
SENTENCE = "stopped at once: the same command goes on from what was saved"


@contextmanager
def interruptible() -> Iterator[None]:
    """For a whole command: the first signal raises KeyboardInterrupt, a second one or PATIENCE_S end the process (143)."""
    over = threading.Event()
    asked: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        if asked:
            end_at_once()
        asked.append(number)
        _later(PATIENCE_S, over, end_at_once)
        raise KeyboardInterrupt

    with _handled(handle):
        try:
            yield
        finally:
            over.set()


@contextmanager
def stop_requests(quick: bool = False) -> Iterator[Callable[[], bool]]:
    """Whether SIGINT, SIGTERM or SIGHUP came; a second one raises KeyboardInterrupt.

    ``quick``: so does the first, where nobody asked for it within HEARD_WITHIN_S (a store that does not answer), and after
    a KeyboardInterrupt the process is gone within ENDED_WITHIN_S.
    """
    asked: list[int] = []
    heard, over = threading.Event(), threading.Event()
    main = threading.main_thread().ident

    def again() -> None:
        assert main is not None
        signal.pthread_kill(main, signal.SIGINT)

    def handle(number: int, _frame: FrameType | None) -> None:
        if asked:
            if quick:
                _later(ENDED_WITHIN_S, over, end_at_once)
            raise KeyboardInterrupt
        asked.append(number)
        if quick:
            _later(HEARD_WITHIN_S, heard, again)

    def stop() -> bool:
        if asked:
            heard.set()
        return bool(asked)

    with _handled(handle):
        try:
            yield stop
        finally:
            heard.set()
            over.set()


def end_at_once() -> NoReturn:
    """With a sentence, waiting for nothing."""
    try:
        sys.stderr.write(f"{SENTENCE}\n")
    finally:
        end(CODE)


def end(code: int) -> NoReturn:
    """End the process without waiting for threads."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _later(seconds: float, unless: threading.Event, then: Callable[[], object]) -> None:
    def wait() -> None:
        if not unless.wait(seconds):
            then()

    threading.Thread(target=wait, daemon=True, name="tlbatch-interrupt").start()


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """``handler`` for the three signals, in the main thread. A hang-up that is ignored (nohup) stays so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before: dict[int, Any] = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
