"""Executions: study, plan, status, events, and the copy of the report held against its artifact."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tlbatch.fsck.artifacts import Artifacts, sha256_of
from tlbatch.fsck.finding import LEAVE, RESTORE, Finding, document, each_at_once, why_damaged
from tlbatch.records.executions import FINAL_STATES, ROOT, Execution, PlanShape, StatusShape
from tlbatch.steps import PAGES
from tlbatch.store import NotFoundError, Stat, Store
from tlbatch.store.artifacts import FileEntry, Manifest
from tlbatch.store.documents import DamagedError, as_is, checked, parse, read

BACKUP = "restore it from a backup of the store, or forget the execution: `tlbatch rm {id}`"
ANEW = "run its study again (what is done is kept), or forget the execution: `tlbatch rm {id}`"


def check_executions(store: Store, stats: Mapping[str, Stat], artifacts: Artifacts) -> list[Finding]:
    files: dict[str, set[str]] = {}
    for name in stats:
        if name.startswith(ROOT) and "/" in name.removeprefix(ROOT):
            execution, _, file = name.removeprefix(ROOT).partition("/")
            files.setdefault(execution, set()).add(file)
    found = each_at_once(lambda item: _execution(store, Execution(store, item[0]), item[1], artifacts, stats), files.items())
    return [finding for each in found for finding in each]


def _execution(
    store: Store, execution: Execution, files: set[str], artifacts: Artifacts, stats: Mapping[str, Stat]
) -> list[Finding]:
    found = []
    for file, way_out in (("study.yaml", BACKUP), ("plan.json", ANEW), ("status.json", ANEW)):
        verdict = _record(store, execution, file, files)
        if verdict:
            found.append(Finding(execution.name(file), verdict, LEAVE, way_out.format(id=execution.id)))
    for file in sorted(files):
        name = execution.name(file)
        if file in ("firing.json", "cancel.json") and (why := document(store, name, as_is)):
            found.append(Finding(name, why[0], LEAVE, BACKUP.format(id=execution.id)))
        if file.startswith("events/") and (why := why_damaged(lambda name=name: _events(store, name))):  # type: ignore[misc]
            found.append(Finding(name, why[0], LEAVE, "the lines that can be read are shown", advice=True))
    return found + _report_copy(store, execution, files, artifacts, stats)


def _record(store: Store, execution: Execution, file: str, files: set[str]) -> str:
    """What is wrong with study, plan or status; "" where nothing is."""
    if file in files:
        shapes = {"plan.json": checked(PlanShape), "status.json": checked(StatusShape)}
        name = execution.name(file)
        why = document(store, name, shapes[file]) if file in shapes else why_damaged(execution.load_study)
        return why[0] if why else ""
    begun = {"plan.json", "status.json"} & files or any(each.startswith("report/") for each in files)
    if file == "study.yaml":
        return "it is gone"
    return (
        "it is gone" if begun and (file == "status.json" or _state(execution) in FINAL_STATES - {"cancelled", "failed"}) else ""
    )


def _state(execution: Execution) -> str:
    return str(_said(execution, "status.json").get("state"))


def _said(execution: Execution, file: str) -> dict[str, object]:
    """Of what can be read; a damaged one has a finding of its own."""
    shape = checked(StatusShape if file == "status.json" else PlanShape)
    try:
        return read(execution.store, execution.name(file), shape) or {}
    except DamagedError:
        return {}


def _events(store: Store, name: str) -> None:
    for line in store.get(name).decode(errors="replace").splitlines():
        try:
            if not isinstance(parse(line), dict):
                raise ValueError("it is no object")
        except ValueError as error:
            raise DamagedError(store.url, name, "a line of it is not JSON") from error


def page_artifact(execution: Execution) -> tuple[str, str]:
    """Step and key of the artifact that ``report/`` is a copy of, by status or plan; the key is "" where neither says it."""
    for file in ("status.json", "plan.json"):
        tasks: Any = _said(execution, file).get("tasks")
        for step in PAGES if isinstance(tasks, dict) else ():
            task = tasks.get(step)
            if task and task.get("key"):
                return step, str(task["key"])
    return "report", ""


def _report_copy(
    store: Store, execution: Execution, files: set[str], artifacts: Artifacts, stats: Mapping[str, Stat]
) -> list[Finding]:
    copies = {file for file in files if file.startswith("report/")}
    if not copies and _state(execution) != "succeeded":
        return []
    manifest = artifacts.sound.get(page_artifact(execution))
    if manifest is None:  # nothing to hold it against: what is read of it must be readable
        name = execution.name("report/report.json")
        why = document(store, name, as_is) if "report/report.json" in copies else None
        again = "its artifact is not there or damaged: the same study again makes the report once more"
        return [Finding(name, why[0], LEAVE, again)] if why else []
    return [each for file, entry in manifest.files.items() if (each := _copy(store, execution, file, entry, manifest, stats))]


def _copy(
    store: Store, execution: Execution, file: str, entry: FileEntry, manifest: Manifest, stats: Mapping[str, Stat]
) -> Finding | None:
    name = execution.name(f"report/{file}")
    stat = stats.get(name)
    why = ""
    if stat is None:
        why = "it is gone"
    else:
        try:
            if stat.size != entry.size or sha256_of(store, name, stat.size) != entry.sha256:
                why = "it is not what was copied"
        except (NotFoundError, OSError) as error:
            why = f"it cannot be read: {error}"
    return Finding(name, why, RESTORE, "--repair copies it again", manifest.key, source=entry.path) if why else None


def naming(store: Store, execution: str) -> str:
    """All that plan and status say, for a look at which keys they name."""
    told = [_said(Execution(store, execution), file) for file in ("plan.json", "status.json")]
    return json.dumps(told)
