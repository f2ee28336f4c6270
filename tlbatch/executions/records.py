"""What an execution leaves in the store, and what its tasks say of themselves: for ``status``, ``logs``, ``why``.

Only an execution's driver writes ``executions/<id>/`` (``cancel.json`` apart, which asks the driver to end); a step
writes ``work/<key>/``. Everything here reads leniently: an older or newer tlbatch may have written it.
"""

from __future__ import annotations

import json
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tlbatch.errors import StudyError
from tlbatch.store.protocol import ConflictError, NotFoundError, Store

ROOT = "executions/"
ID_LENGTH = 52
"""The driver's Job has the execution's id as its name; longer Job names leave no room for the pods' suffixes."""
SUFFIX_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
FINAL_STATES = frozenset({"succeeded", "failed", "cancelled"})
ID_TAIL = re.compile(r"-(\d{8}-\d{4})-[a-z0-9]{4}$")


def new_execution_id(study: str, now: float | None = None) -> str:
    """An id like ``dogs-vs-cats-20261123-0412-x7k2``: study, UTC time, four random letters. A DNS label of at most 52."""
    stamp = time.strftime("%Y%m%d-%H%M", time.gmtime(now))
    tail = f"-{stamp}-{''.join(secrets.choice(SUFFIX_LETTERS) for _ in range(4))}"
    label = re.sub(r"[^a-z0-9]+", "-", study.lower()).strip("-") or "study"
    return label[: ID_LENGTH - len(tail)].rstrip("-") + tail


# -- executions ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ExecutionSummary:
    """One line of ``tlbatch list``. Times are Unix times in s; ``state`` is "unknown" where no status was written yet."""

    id: str
    study: str
    state: str
    started: float
    updated: float


@dataclass(frozen=True)
class Execution:
    """The records of one execution, ``executions/<id>/``."""

    store: Store
    id: str

    def name(self, file: str) -> str:
        """Store-relative name of one of its files."""
        return f"{ROOT}{self.id}/{file}"

    def save_study(self, text: str) -> None:
        """The study as resolved for this execution. Raises ConflictError if the id is taken."""
        self.store.put(self.name("study.yaml"), text.encode(), if_absent=True)

    def load_study(self) -> str:
        """Raises StudyError where there is no such execution."""
        try:
            return self.store.get(self.name("study.yaml")).decode()
        except NotFoundError as error:
            raise StudyError(f"no execution {self.id} in {self.store.url}: `tlbatch list` shows those there are") from error

    def save_plan(self, plan: Mapping[str, Any]) -> None:
        self.store.put(self.name("plan.json"), _dump(plan))

    def load_plan(self) -> dict[str, Any] | None:
        """None where no plan was made yet."""
        return load_document(self.store, self.name("plan.json"))

    def save_status(self, status: Mapping[str, Any], clock: Callable[[], float] = time.time) -> bool:
        """Replace the status (``state``, ``tasks``, …); ``updated`` is set here. False, and nothing written, once cancelled.

        The write is a compare-and-swap, so a ``cancelled`` written meanwhile is never lost.
        """
        name, data = self.name("status.json"), _dump({**status, "id": self.id, "updated": clock()})
        while True:
            try:
                present, etag = self.store.get_with_etag(name)
            except NotFoundError:
                condition: dict[str, Any] = {"if_absent": True}
            else:
                if _parse(present).get("state") == "cancelled" and status.get("state") != "cancelled":
                    return False
                condition = {"if_match": etag}
            try:
                self.store.put(name, data, **condition)
            except ConflictError:
                continue
            return True

    def load_status(self) -> dict[str, Any] | None:
        """None where none was written yet."""
        return load_document(self.store, self.name("status.json"))

    def request_cancel(self, reason: str = "", clock: Callable[[], float] = time.time) -> bool:
        """Ask the driver to end. False if somebody had asked before."""
        try:
            self.store.put(self.name("cancel.json"), _dump({"reason": reason, "time": clock()}), if_absent=True)
        except ConflictError:
            return False
        return True

    def cancel_request(self) -> dict[str, Any] | None:
        """``{"reason", "time"}`` once a cancel was asked for."""
        return load_document(self.store, self.name("cancel.json"))

    def events(self, after: str = "") -> list[dict[str, Any]]:
        """Events in the order of their objects; ``object`` names the one each is from. ``after``: only later objects."""
        prefix = self.name("events/")
        events = []
        for stat in self.store.list(prefix):
            name = stat.name.removeprefix(prefix)
            if name > after and name.endswith(".jsonl"):
                lines = self.store.get(stat.name).decode(errors="replace").splitlines()
                events += [{**event, "object": name} for event in map(_parse, lines) if event]
        return events


class EventLog:
    """Appends events of one driver as new objects ``events/<seq>-<driver>.jsonl``: S3 cannot append.

    ``seq`` goes on after the highest there is, so a restarted driver's events sort after those of the one before.
    """

    def __init__(self, execution: Execution, driver: str, clock: Callable[[], float] = time.time) -> None:
        self._execution, self._driver, self._clock = execution, driver, clock
        self._pending: list[str] = []
        self._next: int | None = None
        self._noting, self._flushing = threading.Lock(), threading.Lock()  # noting never waits for the store

    def add(self, kind: str, **fields: Any) -> None:
        """Note an event; it is stored with the next ``flush``."""
        line = json.dumps({"time": self._clock(), "kind": kind, **fields}, sort_keys=True)
        with self._noting:
            self._pending.append(line)

    def flush(self) -> None:
        """Store the events noted since the last flush, as one object. On an error they stay for the next one."""
        with self._flushing:
            with self._noting:
                lines = list(self._pending)
            if lines:
                self._append("".join(f"{line}\n" for line in lines).encode())
                with self._noting:
                    del self._pending[: len(lines)]

    def _append(self, data: bytes) -> None:
        if self._next is None:
            self._next = self._highest() + 1
        while True:
            name = self._execution.name(f"events/{self._next:06d}-{self._driver}.jsonl")
            self._next += 1
            with suppress(ConflictError):
                self._execution.store.put(name, data, if_absent=True)
                return

    def _highest(self) -> int:
        prefix = self._execution.name("events/")
        names = [stat.name.removeprefix(prefix) for stat in self._execution.store.list(prefix)]
        return max((int(number) for name in names if (number := name.partition("-")[0]).isdigit()), default=0)


def list_executions(store: Store) -> list[ExecutionSummary]:
    """All executions, newest first."""
    started: dict[str, float] = {}
    with_status: set[str] = set()
    for stat in store.list(ROOT):
        execution, _, file = stat.name.removeprefix(ROOT).partition("/")
        if file == "study.yaml":
            started[execution] = stat.modified
        if file == "status.json":
            with_status.add(execution)
    summaries = [_summary(store, execution, when, execution in with_status) for execution, when in started.items()]
    return sorted(summaries, key=lambda summary: (summary.started, summary.id), reverse=True)


def find_execution(store: Store, text: str = "") -> Execution:
    """The execution meant by an id, the unique start of one, or a study's name (its newest); no text: the newest of all.

    Raises StudyError with the candidates.
    """
    summaries = list_executions(store)
    exact = [summary for summary in summaries if summary.id == text]
    of_study = [summary for summary in summaries if summary.study == text or not text]
    starting = [summary for summary in summaries if summary.id.startswith(text)]
    if exact or of_study:
        return Execution(store, (exact or of_study)[0].id)
    if len(starting) == 1:
        return Execution(store, starting[0].id)
    known = ", ".join(summary.id for summary in (starting or summaries)[:5]) or "none yet"
    problem = "is ambiguous" if starting else "is not there"
    raise StudyError(f"execution {text or '(the newest)'} {problem} in {store.url}; there: {known}")


def _summary(store: Store, execution: str, modified: float, has_status: bool) -> ExecutionSummary:
    status = Execution(store, execution).load_status() if has_status else None
    status = status or {}
    study = str(status.get("study") or ID_TAIL.sub("", execution))
    started, updated = status.get("started"), status.get("updated")
    return ExecutionSummary(
        execution,
        study,
        str(status.get("state", "unknown")),
        float(started) if isinstance(started, int | float) else modified,
        float(updated) if isinstance(updated, int | float) else modified,
    )


# -- what tasks say -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LogPiece:
    """A piece of a task's log: its object name (give it to ``read_logs(after=…)``), the attempt and the text."""

    name: str
    attempt: str
    text: str


def read_progress(store: Store, key: str) -> dict[str, Any] | None:
    """``work/<key>/progress.json``: done, total, unit, note, seconds, time. None where the task said nothing yet."""
    return load_document(store, f"work/{key}/progress.json")


def read_exit(store: Store, key: str) -> dict[str, Any] | None:
    """``work/<key>/exit.json``: code, sentence, attempt, time of the last attempt that ended. None where none has."""
    return load_document(store, f"work/{key}/exit.json")


def read_logs(store: Store, key: str, after: str = "") -> list[LogPiece]:
    """A task's log in pieces, attempts in the order of their names (they start with the time). ``after``: only later ones."""
    prefix = f"work/{key}/logs/"
    pieces = []
    for stat in store.list(prefix):
        if stat.name > after and stat.name.endswith(".txt"):
            attempt = stat.name.removeprefix(prefix).removesuffix(".txt").rpartition("-")[0]
            pieces.append(LogPiece(stat.name, attempt, store.get(stat.name).decode(errors="replace")))
    return pieces


def load_document(store: Store, name: str) -> dict[str, Any] | None:
    """A JSON object; None where it is missing or unreadable."""
    try:
        return _parse(store.get(name)) or None
    except NotFoundError:
        return None


def _dump(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=1, sort_keys=True).encode()


def _parse(text: bytes | str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
