"""What a task says of itself while it runs and when it ends, ``work/<key>/``: for ``status``, ``logs``, ``why`` and retries.

It may vanish or rot: what is damaged counts as absent, and is told.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from tlbatch.store.documents import checked, read_disposable
from tlbatch.store.protocol import Store


@dataclass
class ProgressShape:
    done: float | None = None
    total: float | None = None
    unit: str | None = None
    note: str | None = None
    seconds: float | None = None


@dataclass
class ExitShape:
    code: int
    sentence: str = ""
    attempt: str = ""
    time: float = 0.0


@dataclass(frozen=True)
class LogPiece:
    """A piece of a task's log: its object name (give it to ``read_logs(seen=…)``), the attempt and the text."""

    name: str
    attempt: str
    text: str


def read_progress(store: Store, key: str) -> dict[str, Any] | None:
    """``work/<key>/progress.json``: done, total, unit, note, seconds, time. None where the task said nothing yet."""
    return read_disposable(store, f"work/{key}/progress.json", checked(ProgressShape))


def read_exit(store: Store, key: str) -> dict[str, Any] | None:
    """``work/<key>/exit.json``: code, sentence, attempt, time of the last attempt that ended. None where none has."""
    return read_disposable(store, f"work/{key}/exit.json", checked(ExitShape))


def read_logs(store: Store, key: str, seen: Collection[str] = ()) -> list[LogPiece]:
    """A task's log in pieces, attempts in the order of their names (they start with the time). ``seen``: object names of pieces
    to leave out; several processes may write at once, so that a new piece need not be the last.
    """
    prefix = f"work/{key}/logs/"
    pieces = []
    for stat in store.list(prefix):
        if stat.name not in seen and stat.name.endswith(".txt"):
            attempt = stat.name.removeprefix(prefix).removesuffix(".txt").rpartition("-")[0]
            pieces.append(LogPiece(stat.name, attempt, store.get(stat.name).decode(errors="replace")))
    return pieces
