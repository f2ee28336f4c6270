"""A step's own records under ``work/<key>/``: its log in pieces, progress and the exit reason."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import TextIO

from tlbatch.errors import TlbatchError
from tlbatch.output import printable
from tlbatch.store import Store
from tlbatch.store.documents import sealed

PIECE_EVERY_S = 5.0
TERMINATION_LOG = Path("/dev/termination-log")


class LogPieces:
    """Copies what the step prints into ``work/<key>/logs/<attempt>-<seq>.txt``, a piece every 5 s and at the end.

    ``mark``: what each line starts with, here and there.
    """

    def __init__(self, store: Store, key: str, attempt: str, every_s: float = PIECE_EVERY_S, mark: str = "") -> None:
        self._store, self._prefix, self._every_s = store, f"work/{key}/logs/{attempt}", every_s
        self._buffer: list[str] = []
        self._mark = mark
        self._sequence = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._streams: tuple[TextIO, TextIO] | None = None

    def start(self) -> None:
        self._streams = (sys.stdout, sys.stderr)
        sys.stdout = _Tee(sys.stdout, self._append, self._mark)
        sys.stderr = _Tee(sys.stderr, self._append, self._mark)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join(timeout=30)
        if self._streams:
            sys.stdout, sys.stderr = self._streams
        self._flush()

    def _append(self, text: str) -> None:
        with self._lock:
            self._buffer.append(printable(text))

    def _loop(self) -> None:
        while not self._ended.wait(self._every_s):
            self._flush()

    def _flush(self) -> None:
        with self._lock:
            text, self._buffer = "".join(self._buffer), []
        if not text:
            return
        try:
            self._store.put(f"{self._prefix}-{self._sequence:05d}.txt", text.encode())
            self._sequence += 1
        except (
            TlbatchError
        ):  # a store that is away for a moment must not end the computation; the text goes with the next piece
            with self._lock:
                self._buffer.insert(0, text)


class _Tee:
    """A text stream that also hands everything to ``copy``, each line behind its ``mark``."""

    def __init__(self, stream: TextIO, copy: object, mark: str = "") -> None:
        self._stream, self._copy, self._mark, self._at_start = stream, copy, mark, True

    def write(self, text: str) -> int:
        text = self._marked(text) if self._mark else text
        self._copy(text)  # type: ignore[operator]
        return self._stream.write(text)

    def _marked(self, text: str) -> str:
        lines = text.splitlines(keepends=True)
        starts = [self._at_start, *(True for _ in lines[1:])]
        self._at_start = text.endswith("\n") if text else self._at_start
        return "".join(f"{self._mark}{line}" if start else line for line, start in zip(lines, starts, strict=False))

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def write_progress(store: Store, key: str, document: dict[str, object]) -> None:
    """Replace ``work/<key>/progress.json``; a failure only costs this update."""
    try:
        store.put(f"work/{key}/progress.json", sealed({**document, "time": time.time()}))
    except TlbatchError as error:
        print(f"progress not written: {error}", file=sys.stderr)


def write_exit(store: Store, key: str, attempt: str, code: int, sentence: str) -> None:
    """Write ``work/<key>/exit.json`` and, in a pod, /dev/termination-log (at most 4,096 bytes)."""
    document = {"code": code, "sentence": sentence, "attempt": attempt, "time": time.time()}
    try:
        store.put(f"work/{key}/exit.json", sealed(document))
    except TlbatchError as error:
        print(f"exit reason not written to the store: {error}", file=sys.stderr)
    if TERMINATION_LOG.exists() and os.access(TERMINATION_LOG, os.W_OK):
        TERMINATION_LOG.write_text(json.dumps(document)[:4096])
