"""What an execution leaves in the store: for ``status``, ``list``, ``why``.

Only an execution's driver writes ``executions/<id>/`` (``cancel.json`` apart, which asks the driver to end). Unknown fields are
ignored: an older or newer tlbatch may have written it. What is damaged raises DamagedError.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from tlbatch.errors import StudyError
from tlbatch.schema.yamltree import read_tree
from tlbatch.store.documents import DamagedError, as_is, checked, parse, read, read_disposable, sealed, tell
from tlbatch.store.names import is_part
from tlbatch.store.protocol import ConflictError, NotFoundError, Store

ROOT = "executions/"
ID_LENGTH = 52
"""The driver's Job has the execution's id as its name; longer Job names leave no room for the pods' suffixes."""
SUFFIX_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
DAMAGED = "damaged"  #: the state of an execution whose status cannot be read
AT_ONCE = 16  # statuses read: a store far away answers each after some ten ms
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
            data = self.store.get(self.name("study.yaml"))
        except NotFoundError as error:
            raise StudyError(f"no execution {self.id} in {self.store.url}: `tlbatch list` shows those there are") from error
        return _study_text(self.store.url, self.name("study.yaml"), data)

    def save_plan(self, plan: Mapping[str, Any]) -> None:
        self.store.put(self.name("plan.json"), sealed(plan))

    def load_plan(self) -> dict[str, Any] | None:
        """None where no plan was made yet."""
        return read(self.store, self.name("plan.json"), checked(PlanShape), self._anew)

    def save_status(self, status: Mapping[str, Any], clock: Callable[[], float] = time.time) -> bool:
        """Replace the status (``state``, ``tasks``, …); ``updated`` is set here. False, and nothing written, once cancelled.

        The write is a compare-and-swap, so a ``cancelled`` written meanwhile is never lost.
        """
        name, data = self.name("status.json"), sealed({**status, "id": self.id, "updated": clock()})
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
        """None where none was written yet. Raises DamagedError."""
        return read(self.store, self.name("status.json"), checked(StatusShape), self._anew)

    def last_status(self) -> dict[str, Any]:
        """For drivers, which write it anew: empty where there is none, and where it is damaged (which is told)."""
        return read_disposable(self.store, self.name("status.json"), checked(StatusShape)) or {}

    @property
    def _anew(self) -> str:
        return f"a driver writes it anew: run the study again, or on a cluster `tlbatch resume {self.id}`; what is done is kept"

    def request_cancel(self, reason: str = "", clock: Callable[[], float] = time.time) -> bool:
        """Ask the driver to end. False if somebody had asked before."""
        try:
            self.store.put(self.name("cancel.json"), json.dumps({"reason": reason, "time": clock()}).encode(), if_absent=True)
        except ConflictError:
            return False
        return True

    def cancel_request(self) -> dict[str, Any] | None:
        """``{"reason", "time"}`` once a cancel was asked for: the object is the request, whatever it says."""
        try:
            data = self.store.get(self.name("cancel.json"))
        except NotFoundError:
            return None
        return _parse(data) or {"reason": "", "time": 0.0}

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
    with ThreadPoolExecutor(AT_ONCE) as pool:
        summaries = list(pool.map(lambda id: _summary(store, id, started[id], id in with_status), started))
    return sorted(summaries, key=lambda summary: (summary.started, summary.id), reverse=True)


def find_execution(store: Store, text: str = "", wanted: Callable[[Execution], bool] | None = None) -> Execution:
    """The execution meant by an id, the unique start of one, or a study's name (its newest); no text: the newest of all.

    ``wanted``: of those that a study's name or no text means the newest that has it, and the newest where none does.
    A whole id is asked for by itself, however many there are. Raises StudyError with the candidates.
    """
    if is_part(text) and store.stat(Execution(store, text).name("study.yaml")) is not None:
        return Execution(store, text)
    summaries = list_executions(store)
    of_study = [summary for summary in summaries if summary.study == text or not text]
    starting = [summary for summary in summaries if summary.id.startswith(text)]
    if of_study:
        newest = Execution(store, of_study[0].id)
        meant = (Execution(store, summary.id) for summary in of_study) if wanted else ()
        found = next((each for each in meant if wanted and wanted(each)), newest)
        if found.id != newest.id:
            tell(f"{newest.id} is newer and does not have what is asked for: {found.id} is taken")
        return found
    if len(starting) == 1:
        return Execution(store, starting[0].id)
    known = ", ".join(summary.id for summary in (starting or summaries)[:5]) or "none yet"
    problem = "is ambiguous" if starting else "is not there"
    raise StudyError(f"execution {text or '(the newest)'} {problem} in {store.url}; there: {known}")


def _summary(store: Store, execution: str, modified: float, has_status: bool) -> ExecutionSummary:
    try:
        status = (Execution(store, execution).load_status() if has_status else None) or {}
    except DamagedError:
        status = {"state": DAMAGED}
    study = str(status.get("study") or ID_TAIL.sub("", execution))
    started, updated = status.get("started"), status.get("updated")
    return ExecutionSummary(
        execution,
        study,
        str(status.get("state", "unknown")),
        float(started) if isinstance(started, int | float) else modified,
        float(updated) if isinstance(updated, int | float) else modified,
    )


# -- what the documents look like (other fields are let through) ----------------------------------------------------------


@dataclass
class _Place:
    node: str | None = None
    waits: str | None = None
    phase: str | None = None
    restarts: int | None = None


@dataclass
class TaskShape:
    """A task in ``status.json`` and ``plan.json``."""

    state: str | None = None
    step: str | None = None
    key: str | None = None
    digest: str | None = None
    seconds: float | None = None
    started: float | None = None
    tries: int | None = None
    codes: list[int] | None = None
    sentence: str | None = None
    place: _Place | None = None

    def __post_init__(self) -> None:
        """Step and key become parts of object names: "../x", or none, is damage."""
        if not all(part is None or is_part(part) for part in (self.step, self.key)):
            raise ValueError("its step or key is no part of an object's name")


@dataclass
class StatusShape:
    state: str
    tasks: dict[str, TaskShape] = field(default_factory=dict)
    study: str | None = None
    backend: str | None = None
    started: float | None = None
    updated: float | None = None
    sentence: str | None = None


@dataclass
class PlanShape:
    tasks: dict[str, TaskShape]
    study: str | None = None


def _study_text(url: str, name: str, data: bytes) -> str:
    """Raises DamagedError where it is no YAML mapping: what a person got wrong never came so far."""
    try:
        text = data.decode()
    except ValueError as error:
        raise DamagedError(url, name, "it is no text") from error
    if not isinstance(read_tree(text, name, {}).value, dict):
        raise DamagedError(url, name, "it is no study")
    return text


def load_document(store: Store, name: str) -> dict[str, Any] | None:
    """A JSON object; None where it is not there. Raises DamagedError."""
    return read(store, name, as_is)


def _parse(text: bytes | str) -> dict[str, Any]:
    """Of what is only told on: an event, a status about to be replaced."""
    try:
        document = parse(text)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
