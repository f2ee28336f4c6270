"""What a store keeps and what may go. Roots are executions, champions, schedules and live leases; all they reach stays."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from tlbatch.errors import StudyError
from tlbatch.records.executions import FINAL_STATES, ROOT, Execution, ExecutionSummary, list_executions
from tlbatch.steps import STEPS
from tlbatch.store import Stat, Store
from tlbatch.store.artifacts import load_manifest
from tlbatch.store.documents import as_is, decoded, read, shaped
from tlbatch.store.lease import LeaseInfo, is_live
from tlbatch.tasks import InputRef, task_name

DAY_S = 86400.0
YOUNG_S = 7 * DAY_S
SILENT_S = 30 * DAY_S
"""What is younger stays whatever reaches it: somebody may be about to point at it."""
KEEP_S = 30 * DAY_S
KEY = re.compile(r"[0-9a-f]{40}")
CHAMPIONS = "champions/"
OTHER_ROOTS = (CHAMPIONS, "schedules/")


@dataclass(frozen=True)
class Garbage:
    """Objects that nothing reaches, and executions past their time. Sizes in bytes."""

    objects: tuple[Stat, ...]
    executions: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        return sum(stat.size for stat in self.objects)


@dataclass(frozen=True)
class _TaskInputs:
    """What is read of a task document."""

    inputs: dict[str, InputRef] = field(default_factory=dict)


@dataclass
class _Reach:
    """Keys and object names that something reaches."""

    keys: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)


def find_garbage(store: Store, keep_s: float = KEEP_S, clock: Callable[[], float] = time.time) -> Garbage:
    """Everything older than YOUNG_S that no root reaches. One listing of the store, and one read per root and artifact."""
    now = clock()
    stats = list(store.list())
    over = [each.id for each in list_executions(store) if now - each.updated > keep_s and _has_ended(each, now)]
    reach = _reached(store, stats, set(over), now)
    old = [stat for stat in stats if now - stat.modified > YOUNG_S and not _kept(stat.name, reach, set(over))]
    going = {stat.name.split("/")[1] for stat in old if stat.name.startswith(ROOT)}
    return Garbage(tuple(old), tuple(each for each in over if each in going))


def _has_ended(execution: ExecutionSummary, now: float) -> bool:
    """A driver writes every two seconds: one that has written nothing for ``SILENT_S`` was killed, whatever it wrote last."""
    return execution.state in FINAL_STATES or (execution.state == "running" and now - execution.updated > SILENT_S)


def remove(store: Store, garbage: Garbage) -> None:
    """Manifests go first: an artifact without one is absent, one without its files would be broken."""
    names = [stat.name for stat in garbage.objects]
    store.delete([name for name in names if name.endswith("/manifest.json")])
    store.delete([name for name in names if not name.endswith("/manifest.json")])


def remove_execution(store: Store, execution: Execution) -> int:
    """Forget an execution's records (its artifacts go with the next gc). Raises StudyError while it runs."""
    status = execution.last_status()
    if status.get("state") == "running" and time.time() - float(status.get("updated") or 0) < YOUNG_S:
        raise StudyError(f"{execution.id} is running: `tlbatch cancel {execution.id}` first")
    names = [stat.name for stat in store.list(execution.name(""))]
    store.delete(names)
    return len(names)


def _reached(store: Store, stats: Iterable[Stat], over: set[str], now: float) -> _Reach:
    reach = _Reach()
    tasks = {stat.name for stat in stats if stat.name.startswith("tasks/")}
    for stat in stats:
        if _is_root(stat.name, over):
            found = _keys(store, stat.name)
            reach.keys |= _with_inputs(store, found, tasks) if stat.name.startswith(CHAMPIONS) else found
        if stat.name.startswith("work/") and stat.name.endswith("/lease.json"):
            info = LeaseInfo.from_json(store.get(stat.name))
            if info is not None and is_live(info, now):
                reach.keys.add(stat.name.split("/")[1])
    for step, key in _artifacts(stats):
        if key in reach.keys:
            _follow(store, step, key, reach)
    return reach


def _keys(store: Store, name: str) -> set[str]:
    """All that a root names. Raises DamagedError: what half a root does not name any more must not go."""
    data = store.get(name)
    way_out = f"nothing is removed while it is not known what it needs; `tlbatch fsck {store.url} --repair`"
    decoded(store.url, name, data, as_is, way_out)
    return set(KEY.findall(data.decode(errors="replace")))


def _with_inputs(store: Store, keys: set[str], tasks: set[str]) -> set[str]:
    """The keys and, by the task documents, what they were made from: a champion is evaluated and exported again.

    Features are left out: they are computed again from the images where they are wanted.
    """
    reached, left = set(keys), list(keys)
    while left:
        name = task_name(left.pop())
        task = read(store, name, shaped(_TaskInputs)) if name in tasks else None
        new = {ref.key for ref in task.inputs.values() if not _made_again(ref.step)} - reached if task else set()
        reached |= new
        left += new
    return reached


def _made_again(step: str) -> bool:
    return step in STEPS and STEPS[step].reuses


def _is_root(name: str, over: set[str]) -> bool:
    if name.startswith(CHAMPIONS) and "/decisions/" in name:
        return False  # refused challengers go with their executions
    if name.startswith(OTHER_ROOTS):
        return name.endswith(".json")
    execution, _, file = name.removeprefix(ROOT).partition("/")
    return name.startswith(ROOT) and execution not in over and file in ("plan.json", "status.json")


def _artifacts(stats: Iterable[Stat]) -> Iterator[tuple[str, str]]:
    for stat in stats:
        parts = stat.name.split("/")
        if parts[0] == "artifacts" and parts[-1] == "manifest.json" and len(parts) == 4:
            yield parts[1], parts[2]


def _follow(store: Store, step: str, key: str, reach: _Reach) -> None:
    """A manifest may point at files of older artifacts: these stay, though their own manifest may go."""
    manifest = load_manifest(store, step, key)
    if manifest is not None:
        reach.names |= {entry.path for entry in manifest.files.values()}


def _kept(name: str, reach: _Reach, over: set[str]) -> bool:
    top, _, rest = name.partition("/")
    if top == "executions":
        return rest.partition("/")[0] not in over
    if top == "artifacts":
        parts = rest.split("/")  # step, key, file: what lies elsewhere is somebody else's
        return len(parts) < 3 or name in reach.names or parts[1] in reach.keys
    if top in ("tasks", "work"):
        found = KEY.search(rest)
        return found is None or found[0] in reach.keys
    return True


def describe(garbage: Garbage) -> dict[str, object]:
    """For ``-o json``."""
    names = [stat.name for stat in garbage.objects]
    return json.loads(json.dumps({"objects": names, "bytes": garbage.size, "executions": garbage.executions}))  # type: ignore[no-any-return]
