"""A lease that a thread keeps alive."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from tlbatch.errors import TlbatchError, TransientError
from tlbatch.store.lease import Lease, LeaseLostError


@contextmanager
def beating(lease: Lease, every_s: float, lost_words: str) -> Iterator[Callable[[], None]]:
    """Heartbeats from a thread; yields what raises LeaseLostError (with ``lost_words``) once another has it. Releases it."""
    ended, lost = Event(), Event()

    def beat() -> None:
        while not ended.wait(every_s):
            try:
                lease.heartbeat()
            except LeaseLostError:
                lost.set()
                return
            except TlbatchError as error:  # a store that is away for a moment: the swap tells whether it was too long
                print(f"heartbeat: {error}", file=sys.stderr, flush=True)

    def guard() -> None:
        if lost.is_set():
            raise LeaseLostError(lost_words)
        if time.time() > lease.info.expires:
            lease.heartbeat()

    thread = Thread(target=beat, name="lease", daemon=True)
    thread.start()
    try:
        yield guard
    finally:
        ended.set()
        thread.join()
        try:
            lease.release()
        except TransientError as error:
            print(f"lease not released: {error}", file=sys.stderr, flush=True)
