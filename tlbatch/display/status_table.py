"""An execution's status as a table: where each task stands, how far it is, and where it runs. From the store alone."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tlbatch.records.executions import Execution
from tlbatch.records.task_records import read_progress
from tlbatch.steps import place_of

STALE_S = 120.0
COLUMNS = ["task", "state", "time", "progress", "rate", "left", "node", "restarts", ""]


@dataclass(frozen=True)
class Row:
    """One task. Times in s; ``rate`` in units of ``unit`` a second; ``eta_s``: None where nothing is known."""

    task: str
    state: str
    seconds: float | None = None
    done: float | None = None
    total: float | None = None
    unit: str = ""
    note: str = ""
    rate: float | None = None
    eta_s: float | None = None
    node: str = ""
    restarts: int = 0
    sentence: str = ""


def rows(execution: Execution, status: Mapping[str, Any], now: float | None = None) -> list[Row]:
    """All tasks, in the order in which they are needed."""
    tasks: Mapping[str, Mapping[str, Any]] = status.get("tasks", {})
    named = sorted(tasks.items(), key=lambda item: place_of(item[1].get("step", "")))
    return [_row(execution, name, task, time.time() if now is None else now) for name, task in named]


def as_documents(shown: list[Row]) -> list[dict[str, Any]]:
    return [asdict(row) for row in shown]


def cells(row: Row) -> list[str]:
    """A row's texts under COLUMNS."""
    from tlbatch.display.text import duration, progress_words, rate_words

    progress = progress_words(row.done or 0.0, row.total, row.unit) if row.total else ""
    rate = rate_words(row.rate, row.unit) if row.rate and row.state == "running" else ""
    took = duration(row.seconds) if row.seconds else ""
    left = duration(row.eta_s) if row.eta_s is not None else ""
    said = "; ".join(part for part in (row.note, row.sentence) if part)
    return [row.task, row.state, took, progress, rate, left, row.node, str(row.restarts or ""), said]


def stale(status: Mapping[str, Any], now: float | None = None) -> str:
    """A warning where a running execution has not been heard of for long."""
    silent_s = (time.time() if now is None else now) - float(status.get("updated") or 0)
    if status.get("state") != "running" or silent_s < STALE_S:
        return ""
    return f"its driver has said nothing for {silent_s / 60:.0f} min: `tlbatch why {status.get('id', '')}`"


def _row(execution: Execution, name: str, task: Mapping[str, Any], now: float) -> Row:
    place = task.get("place") or {}
    state = state_of(task)
    progress = read_progress(execution.store, str(task["key"])) if state == "running" and task.get("key") else None
    done, total, spent = (_number(progress, field) for field in ("done", "total", "seconds"))
    rate = done / spent if done and spent else None
    seconds = _number(task, "seconds") or (now - float(task["started"]) if state == "running" and task.get("started") else None)
    return Row(
        task=name,
        state=state,
        seconds=seconds,
        done=done,
        total=total,
        unit=str((progress or {}).get("unit", "")),
        note=str((progress or {}).get("note", "")),
        rate=rate,
        eta_s=(total - done) / rate if rate and total and done is not None else None,
        node=str(place.get("node") or ""),
        restarts=int(place.get("restarts") or 0),
        sentence=str(place.get("waits") or task.get("sentence") or ""),
    )


def state_of(task: Mapping[str, Any]) -> str:
    """The task's state; ``queued`` for one whose Job is made and whose pod does not run yet."""
    state, place = str(task.get("state")), task.get("place")
    return "queued" if state == "running" and place and place.get("phase") not in ("Running", "Succeeded", "Failed") else state


def _number(document: Mapping[str, Any] | None, field: str) -> float | None:
    value = (document or {}).get(field)
    return float(value) if isinstance(value, int | float) else None
