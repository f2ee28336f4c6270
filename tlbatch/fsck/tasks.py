"""Task documents, what is under ``work/`` (which may vanish or rot), and corrected labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tlbatch.datasets.relabelling import load_corrections
from tlbatch.execution.rates import Rate
from tlbatch.fsck.artifacts import sha256_of
from tlbatch.fsck.finding import DELETE, LEAVE, SET_ASIDE, Finding, document, each_at_once, why_damaged
from tlbatch.fsck.schedules import lease
from tlbatch.records.task_records import ExitShape, ProgressShape
from tlbatch.store import NotFoundError, Stat, Store
from tlbatch.store.documents import DamagedError, checked, read, shaped
from tlbatch.tasks import Task, load_task

DELETABLE = "deletable: --repair removes it, and the task goes on from what is before it"
TASK = "--repair sets it aside; the driver writes it anew: run its study again"
LABELS = "earlier versions are beside it (corrections-<number>.csv); `tlbatch data relabel` reads one again"


@dataclass(frozen=True)
class _Checkpoint:
    files: dict[str, str]
    seconds: float = 0.0


def check_tasks(store: Store, stats: Mapping[str, Stat]) -> tuple[list[Finding], dict[str, Task]]:
    """Findings, and the readable task documents by key."""
    names = [name for name in stats if name.startswith("tasks/") and name.endswith(".json")]

    def one(name: str) -> Finding | Task | None:
        key, kept = name.removeprefix("tasks/").removesuffix(".json"), []
        why = why_damaged(lambda: kept.append(load_task(store, key)))
        return Finding(name, why[0], SET_ASIDE, TASK, key) if why else kept[0]

    found = dict(zip(names, each_at_once(one, names), strict=True))
    tasks = {n.removeprefix("tasks/").removesuffix(".json"): task for n, task in found.items() if isinstance(task, Task)}
    return [each for each in found.values() if isinstance(each, Finding)], tasks


def check_work(store: Store, stats: Mapping[str, Stat], quick: bool) -> list[Finding]:
    """All of it is deletable, so what is found is advice."""
    names = [name for name in stats if name.startswith("work/")]

    def one(name: str) -> Finding | None:
        try:
            return _work(store, name, stats, quick)
        except NotFoundError:  # a running task has removed it
            return None

    return [each for each in each_at_once(one, names) if each]


SHAPES: dict[str, Callable[[dict[str, object]], object]] = {
    "progress.json": checked(ProgressShape),
    "exit.json": checked(ExitShape),
}


def _work(store: Store, name: str, stats: Mapping[str, Stat], quick: bool) -> Finding | None:
    _, key, *rest = name.split("/")
    if rest == ["lease.json"]:
        return lease(store, name)
    why = None
    names: tuple[str, ...] = ()
    if len(rest) == 1 and (rest[0] in SHAPES or key == "rates"):
        why = document(store, name, SHAPES.get(rest[0], shaped(Rate)))
    if len(rest) == 3 and rest[0] == "checkpoints" and rest[1].isdigit() and rest[2] == "done.json":
        why = why_damaged(lambda: _checkpoint(store, name, quick))
        folder = name.removesuffix("done.json")
        names = tuple(sorted((each for each in stats if each.startswith(folder)), key=lambda n: n != name))
    return Finding(name, why[0], DELETE, DELETABLE, key, advice=True, names=names) if why else None


def _checkpoint(store: Store, name: str, quick: bool) -> None:
    checkpoint = read(store, name, shaped(_Checkpoint))
    for file, sha256 in (checkpoint.files if checkpoint else {}).items():
        place = name.removesuffix("done.json") + file
        stat = store.stat(place)
        if stat is None:
            raise DamagedError(store.url, name, f"its {file} is gone")
        if not quick and sha256_of(store, place, stat.size) != sha256:
            raise DamagedError(store.url, name, f"its {file} is not what was written")


def check_labels(store: Store, stats: Mapping[str, Stat]) -> list[Finding]:
    names = [name for name in stats if name.startswith("labels/") and name.endswith("/corrections.csv")]
    verdicts = [(n, why_damaged(lambda n=n: load_corrections(store, n.split("/")[1]))) for n in names]  # type: ignore[misc]
    return [Finding(name, why[0], LEAVE, LABELS) for name, why in verdicts if why]
