"""All checks of a store, and what depends on what they find."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from tlbatch import nouns
from tlbatch.champions.champion import ROOT as CHAMPIONS
from tlbatch.errors import StudyError
from tlbatch.fsck.artifacts import Artifacts, check_artifacts
from tlbatch.fsck.champions import check_champions
from tlbatch.fsck.executions import check_executions
from tlbatch.fsck.finding import LEAVE, RESTORE, Finding, Survey, each_at_once
from tlbatch.fsck.schedules import check_schedules
from tlbatch.fsck.tasks import check_labels, check_tasks, check_work
from tlbatch.records.executions import ROOT as EXECUTIONS
from tlbatch.records.garbage import KEY
from tlbatch.schedules.schedule import ROOT as SCHEDULES
from tlbatch.store import NotFoundError, Stat, Store
from tlbatch.store.conditional import CHECKED_NAME
from tlbatch.store.layout import FORMAT_NAME, LAYOUT_FORMAT
from tlbatch.tasks import Task, task_name

KNOWN = ("artifacts/", "tasks/", "work/", EXECUTIONS, SCHEDULES, CHAMPIONS, "labels/")


def quiet(total: int) -> Callable[[], None]:
    return lambda: None


def survey(store: Store, *, quick: bool = False, begin: Callable[[int], Callable[[], None]] = quiet) -> Survey:
    """Check everything; nothing is changed. ``begin(total)`` is told how many files are read, and gives a step to call.

    Raises StudyError for a layout newer than this tlbatch reads.
    """
    stats = {stat.name: stat for stat in store.list()}
    findings = _format(store, stats)
    artifacts = check_artifacts(store, stats, quick, begin)
    damaged_tasks, tasks = check_tasks(store, stats)
    findings += [*artifacts.findings, *damaged_tasks, *check_executions(store, stats, artifacts)]
    findings += [*check_champions(store, stats, artifacts), *check_schedules(store, stats, artifacts)]
    findings += [*check_work(store, stats, quick), *check_labels(store, stats)]
    roots = _roots(store, stats)
    findings = [_with_dependants(each, tasks, artifacts, roots) for each in findings]
    aside = tuple(name for name in stats if ".bad-" in name.rpartition("/")[2])
    orphans = [
        n for n in stats if n.startswith("artifacts/") and n not in artifacts.named and n not in aside and not _manifest(n)
    ]
    elsewhere = Counter(n.partition("/")[0] for n in stats if not n.startswith(KNOWN) and n not in (FORMAT_NAME, CHECKED_NAME))
    return Survey(
        findings=tuple(sorted(findings, key=lambda each: (each.advice, each.name))),
        objects=len(stats),
        artifacts=len(artifacts.sound) + len(artifacts.findings),
        checked_bytes=artifacts.checked_bytes,
        quick=quick,
        orphans=tuple(orphans),
        orphan_bytes=sum(stats[name].size for name in orphans),
        set_aside=aside,
        unchecked=dict(elsewhere),
    )


def _manifest(name: str) -> bool:
    return name.endswith("/manifest.json")


def _format(store: Store, stats: Mapping[str, Stat]) -> list[Finding]:
    if FORMAT_NAME in stats:
        try:
            version = int(store.get(FORMAT_NAME))
        except ValueError:
            why = "it is not a layout version"
        else:
            if version > LAYOUT_FORMAT:
                raise StudyError(f"{store.url} has layout {version}, this tlbatch reads up to {LAYOUT_FORMAT}: upgrade tlbatch")
            return []
    else:
        why = "it is gone"
    content = f"{LAYOUT_FORMAT}\n".encode()
    return [Finding(FORMAT_NAME, why, RESTORE, "--repair writes it again", content=content)]


# -- what depends on it -------------------------------------------------------------------------------------------------


def _roots(store: Store, stats: Mapping[str, Stat]) -> dict[str, set[str]]:
    """Which executions, champions and schedules name a key: key -> words."""

    def keys(name: str) -> tuple[str, set[str]]:
        try:
            return name, set(KEY.findall(store.get(name).decode(errors="replace")))
        except (NotFoundError, OSError):
            return name, set()

    names = [name for name in stats if name.endswith(".json") and (word := _word(name)) and word]
    roots: dict[str, set[str]] = {}
    for name, found in each_at_once(keys, names):
        for key in found:
            roots.setdefault(key, set()).add(_word(name))
    return roots


def _word(name: str) -> str:
    """What a person calls the root that an object belongs to; "" for what is none."""
    parts = name.split("/")
    if name.startswith(EXECUTIONS) and len(parts) == 3 and parts[2] in ("plan.json", "status.json"):
        return f"execution {parts[1]}"
    if name.startswith(CHAMPIONS) and len(parts) in (2, 3):
        return f"champion {parts[1].removesuffix('.json')}" + (f" number {int(n)}" if (n := _serial(parts)) else "")
    if name.startswith(SCHEDULES) and len(parts) == 3 and parts[2] == "pins.json":
        return f"pinned {nouns.items()} of schedule {parts[1]}"
    return ""


def _serial(parts: list[str]) -> str:
    digits = parts[2].partition("-")[0] if len(parts) == 3 else ""
    return digits if digits.isdigit() else ""


def _with_dependants(
    finding: Finding, tasks: Mapping[str, Task], artifacts: Artifacts, roots: Mapping[str, Iterable[str]]
) -> Finding:
    if finding.key and finding.name.startswith(("artifacts/", "tasks/")):
        made = {manifest.key: manifest.step for manifest in artifacts.sound.values()}
        below = _downstream(finding.key, tasks)
        words = [f"artifact {made[key]}/{key}" for key in sorted(below) if key in made]
        finding = replace(finding, depends=(*words, *sorted(roots.get(finding.key, ()))))
        needed = [word for word in finding.depends if word.startswith(("champion", "pinned"))]
        if finding.name.startswith("artifacts/") and finding.action != LEAVE and needed and finding.key not in tasks:
            backup = f"not touched, since {needed[0]} needs it and {task_name(finding.key)}, by which it could be made again, "
            return replace(finding, action=LEAVE, way_out=f"{backup}is gone or damaged: restore it from a backup of the store")
        return finding
    return replace(finding, depends=(_owner(finding.name),)) if _owner(finding.name) else finding


def _owner(name: str) -> str:
    top, _, rest = name.partition("/")
    words = {"executions": "execution", "champions": "champion", "schedules": "schedule", "labels": "study"}
    return f"{words[top]} {rest.partition('/')[0].removesuffix('.json')}" if top in words else ""


def _downstream(key: str, tasks: Mapping[str, Task]) -> set[str]:
    """Keys of all that was made from an artifact, by the task documents."""
    users: dict[str, set[str]] = {}
    for user, task in tasks.items():
        for ref in task.inputs.values():
            users.setdefault(ref.key, set()).add(user)
    reached: set[str] = set()
    left = [key]
    while left:
        new = users.get(left.pop(), set()) - reached
        reached |= new
        left += new
    return reached
