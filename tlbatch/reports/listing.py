"""Reports in a store: which there are, what they say in a line, and which execution somebody means."""

from __future__ import annotations

import calendar
import hashlib
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tlbatch.errors import CorruptArtifactError, StudyError
from tlbatch.records.executions import ROOT, Execution, ExecutionSummary, find_execution, list_executions
from tlbatch.steps import PAGES
from tlbatch.store import NotFoundError, Store
from tlbatch.store.artifacts import Manifest, load_manifest, read_file, set_aside_names
from tlbatch.store.documents import UNREADABLE, DamagedError, checked, decoded, read, tell
from tlbatch.store.opening import open_kept

READS_AT_ONCE = 8
DATES = ("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M")
FILE = "report/report.json"
MADE_AGAIN = "the same study again makes the report once more, from what is there"


@dataclass
class TableShape:
    columns: list[str] | None = None
    rows: list[list[Any]] | None = None
    values: list[dict[str, Any]] | None = None


@dataclass
class ReportShape:
    """What is read of a ``report.json``; other fields are let through."""

    first_sentence: str | None = None
    study: str | None = None
    best_run: str | None = None
    table: TableShape | None = None


@dataclass(frozen=True)
class ReportLine:
    """One report in a line. ``made`` is Unix time in s; ``accuracy`` that of the best run: {value, low, high}, or None."""

    execution: str
    study: str
    made: float
    best_run: str | None
    accuracy: dict[str, float | None] | None
    sentence: str


def list_reports(store: Store, study: str = "", since: float = 0.0) -> list[ReportLine]:
    """The store's reports, newest first; of one study, and made since then (Unix time in s), where asked for."""
    made = {
        stat.name.removeprefix(ROOT).partition("/")[0]: stat.modified
        for stat in store.list(ROOT)
        if stat.name.endswith(f"/{FILE}")
    }
    wanted = [
        summary
        for summary in list_executions(store)
        if summary.id in made and made[summary.id] >= since and study in ("", summary.study)
    ]

    def line(summary: ExecutionSummary) -> ReportLine | None:
        try:
            document = load_report(Execution(store, summary.id))
        except UNREADABLE as error:
            tell(error)
            return None
        return None if document is None else report_line(summary.id, made[summary.id], document)

    with ThreadPoolExecutor(READS_AT_ONCE) as pool:
        lines = [found for found in pool.map(line, wanted) if found is not None]
    return sorted(lines, key=lambda found: (found.made, found.execution), reverse=True)


def report_line(execution: str, made: float, document: dict[str, Any]) -> ReportLine:
    """Pure. ``document`` is a ``report.json``, read leniently."""
    best = document.get("best_run")
    values = (document.get("table") or {}).get("values") or []
    row: dict[str, Any] = next((row for row in values if row.get("run") == best), {})
    accuracy = (row.get("metrics") or {}).get("accuracy")
    kept = {name: accuracy.get(name) for name in ("value", "low", "high")} if accuracy else None
    sentence = str(document.get("first_sentence", ""))
    return ReportLine(execution, str(document.get("study", "")), made, best, kept, sentence)


def load_report(execution: Execution) -> dict[str, Any] | None:
    """``report.json`` of an execution, or None where it has none (yet).

    The copy for people, where it is what was written, else the artifact's own. Raises DamagedError where neither is.
    """
    store, copy = execution.store, execution.name(FILE)
    manifest = _manifest(execution)
    entry = manifest.files.get("report.json") if manifest is not None else None
    if manifest is None or entry is None:
        return read(store, copy, checked(ReportShape), MADE_AGAIN)
    with suppress(NotFoundError):
        data = store.get(copy)
        if hashlib.sha256(data).hexdigest() == entry.sha256:
            return decoded(store.url, copy, data, checked(ReportShape))
        tell(f"{store.url}/{copy} is damaged: shown from the artifact; `tlbatch fsck {store.url} --repair` copies it again")
    try:
        return read_file(store, manifest, "report.json", checked(ReportShape))
    except CorruptArtifactError as error:
        raise DamagedError(store.url, copy, "and so is the artifact it was copied from", MADE_AGAIN) from error


def report_place(execution: Execution) -> str:
    """Where the page is: a path where the store is a directory, else its URL."""
    name = execution.name("report/index.html")
    local = execution.store.local_path(name)
    return str(local) if local is not None else f"{execution.store.url}/{name}"


def reported(execution: Execution) -> dict[str, Any]:
    """Like ``load_report``. Raises StudyError where there is none."""
    document = load_report(execution)
    if document is None:
        raise StudyError(f"{execution.id} has no report: `tlbatch status {execution.id}` says where it stands")
    return document


def find_reports(store: Store, texts: Iterable[str]) -> list[Execution]:
    """The executions meant: each text is an id, the start of one, a study's name, or the URL or path of one in any store.

    A place ends in ``/executions/<id>``, maybe with the name of a file of it. Raises StudyError.
    """
    return [_find(store, text) for text in texts]


def _find(store: Store, text: str) -> Execution:
    place = split_place(text)
    if place is None:
        return find_execution(store, text, _has_report)
    url, name = place
    found = find_execution(open_kept(url), name)
    if found.id != name:
        raise StudyError(f"{text}: no execution {name} there; did you mean {found.id}?")
    return found


def _has_report(execution: Execution) -> bool:
    return execution.store.stat(execution.name(FILE)) is not None or _manifest(execution) is not None


def split_place(text: str) -> tuple[str, str] | None:
    """``s3://bucket/prefix/executions/<id>/…`` -> (URL of the store, id); None for what is no place."""
    before, marker, after = text.rpartition(f"/{ROOT}")
    if not marker:
        before, after = ("", "") if not text.startswith(ROOT) else (".", text.removeprefix(ROOT))
    name = after.partition("/")[0]
    return (before or "/", name) if name else None


def report_manifest(execution: Execution) -> Manifest:
    """The manifest of the report's artifact, with the sha256 of each of its files. Raises StudyError."""
    manifest = _manifest(execution)
    if manifest is None:
        (_, key), url = page_task(execution), execution.store.url
        there = f"its manifest is not in {url}{_aside(execution)}"
        again = f"`tlbatch run --task {key[:12]} --store {url}` makes it again" if key else "the same study again makes one"
        raise StudyError(
            f"{execution.id} has no report whose files can be checked: {there}; "
            f"`tlbatch status {execution.id}` says where it stands, and {again}"
        )
    return manifest


def _aside(execution: Execution) -> str:
    """Where a damaged one was set aside, its name."""
    step, key = page_task(execution)
    names = set_aside_names(execution.store, step, key) if key else []
    return f" (damaged, it was set aside: {names[-1]})" if names else ""


def _manifest(execution: Execution) -> Manifest | None:
    step, key = page_task(execution)
    return load_manifest(execution.store, step, key) if key else None


def page_task(execution: Execution) -> tuple[str, str]:
    """Step and key of the task that makes the execution's page: ``report`` but for executions of another purpose.

    By the status, or by the plan where that is damaged or gone; the key is "" where neither says it.
    """
    try:
        said = execution.load_status() or execution.load_plan()
    except DamagedError as error:
        tell(error)
        said = execution.load_plan()
    tasks = (said or {}).get("tasks") or {}
    return next(((step, str(tasks[step].get("key") or "")) for step in PAGES if tasks.get(step)), ("report", ""))


def since_when(text: str, now: float | None = None) -> float:
    """'2026-11-23', '2026-11-23 04:12' (UTC) or an age ('7d', '12h') as Unix time in s. Raises StudyError."""
    from tlbatch.manifests.needs import seconds

    for form in DATES:
        try:
            return float(calendar.timegm(time.strptime(text, form)))
        except ValueError:
            continue
    try:
        return (time.time() if now is None else now) - seconds(text)
    except ValueError as error:
        raise StudyError(f"--since {text}: expected a date (2026-11-23, 2026-11-23 04:12; UTC) or an age (12h, 7d)") from error
