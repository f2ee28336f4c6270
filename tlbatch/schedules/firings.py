"""Firings, each one time a schedule ran, as recorded in ``schedules/<name>/firings/``; and the times that were missed."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import Any

from tlbatch.schedules.schedule import CLUSTER, Period, StoredSchedule, place
from tlbatch.spec.cron import firing_times
from tlbatch.store import ConflictError, Store
from tlbatch.store.documents import DamagedError, read, read_each, sealed, shaped, tell

CRON, HAND = "cron", "hand"
UNCHANGED, SUCCEEDED, FAILED, CANCELLED, SKIPPED = "unchanged", "succeeded", "failed", "cancelled", "skipped"
MISSED = "missed"  #: never a record's state: what ``missed`` finds has no record
CONCLUDED = frozenset({UNCHANGED, SUCCEEDED})
BEATEN = "beaten"  #: an outcome: the challenger won, and another champion was there before it
MISSED_AT_MOST = 1000


@dataclass(frozen=True)
class FiringRecord:
    """One firing. ``scheduled``, ``started``, ``ended``: Unix times in s; ``scheduled`` is None for those by hand.

    ``listing``, ``study``: digests of what it fired on; ``outcome``: the decision's; ``serial``: of the champion after it;
    ``metrics``: promote_on → {challenger, champion}; ``fresh``: of the champion after it, {images, enough, metrics};
    ``corrected``: of it, on the test images without the luck of having been chosen there, {metric, value, low, high}.
    ``webhook``: "" (none), "sent", or why it failed. ``tasks``: of several, in their order, what is said of each: {name,
    metrics, fresh, corrected}; the main one's stand above, too.
    """

    name: str
    execution: str
    trigger: str
    scheduled: float | None
    started: float
    ended: float
    state: str
    sentence: str = ""
    listing: str = ""
    study: str = ""
    version: str = ""
    images: int | None = None
    outcome: str = ""
    serial: int | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    test: dict[str, Any] = field(default_factory=dict)
    webhook: str = ""
    fresh: dict[str, Any] | None = None
    corrected: dict[str, Any] | None = None
    tasks: tuple[dict[str, Any], ...] = ()

    @property
    def each_task(self) -> list[tuple[str | None, FiringRecord]]:
        """By task, as if it were the only one; of one task itself, under None."""
        if not self.tasks:
            return [(None, self)]
        kept = ("metrics", "fresh", "corrected")
        return [
            (str(task.get("name")), replace(self, tasks=(), **{name: task[name] for name in kept if name in task}))
            for task in self.tasks
        ]

    def to_json(self) -> bytes:
        return sealed(asdict(self))


def firing_place(record: FiringRecord) -> str:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(record.started))
    return place(record.name, f"firings/{stamp}-{record.execution}.json")


def save_firing(store: Store, record: FiringRecord) -> FiringRecord:
    """Write the record, once: returns the one that is there already where the firing was recorded before."""
    found = find_firing(store, record.name, record.execution)
    if found is not None:
        return found
    try:
        store.put(firing_place(record), record.to_json(), if_absent=True)
    except ConflictError:
        return find_firing(store, record.name, record.execution) or record
    return record


def find_firing(store: Store, name: str, execution: str) -> FiringRecord | None:
    """The record of one firing; None while it has none. Raises DamagedError."""
    prefix = place(name, "firings/")
    names = (stat.name for stat in store.list(prefix))
    found = next((each for each in names if each.removeprefix(prefix).partition("-")[2] == f"{execution}.json"), None)
    return _read(store, found) if found else None


def load_firings(store: Store, name: str, limit: int | None = None) -> list[FiringRecord]:
    """All records, or the ``limit`` newest; the newest first. Damaged ones are told and left out."""
    return read_each(store, _names(store, name)[:limit], shaped(FiringRecord))


def last_concluded(store: Store, name: str) -> FiringRecord | None:
    """The newest firing that came to its end: whatever equals it is unchanged.

    None where its challenger was beaten to the place by another champion: it has not met that one yet; and where a newer
    record is damaged: it may have been of something else.
    """
    records = (_read(store, each) for each in _names(store, name))
    try:
        newest = next((record for record in records if record is not None and record.state in CONCLUDED), None)
    except DamagedError as error:
        tell(error)
        return None
    return None if newest is not None and newest.outcome == BEATEN else newest


def _names(store: Store, name: str) -> list[str]:
    return [stat.name for stat in store.list(place(name, "firings/"))][::-1]


def _read(store: Store, name: str) -> FiringRecord | None:
    return read(store, name, shaped(FiringRecord))


def missed(stored: StoredSchedule, records: Sequence[FiringRecord], running: float | None, now: float) -> list[FiringRecord]:
    """Times since the first apply at which it should have fired and did not, the newest first; MISSED_AT_MOST at most.

    ``running``: the scheduled time of the firing that runs now. A time is missed once its starting deadline has passed or a
    later one has fired. On a cluster a firing's record names its time; of a schedule HERE any firing in time will do.
    """
    at = {round(record.scheduled) for record in records if record.scheduled is not None}
    at |= set() if running is None else {round(running)}
    latest = max(at, default=0)
    starts = sorted(record.started for record in records if record.state != SKIPPED)

    def passed(period: Period, due: float) -> bool:
        if round(due) in at or (now <= due + period.deadline_s and (period.where != CLUSTER or latest <= due)):
            return False
        next_start = bisect_left(starts, due)
        made_up = next_start < len(starts) and starts[next_start] <= due + period.deadline_s
        return period.where == CLUSTER or not made_up

    found = (due for period, due in _due(stored, now) if passed(period, due))
    return [
        FiringRecord(stored.name, "", CRON, due, due, due, MISSED, _why(due, records)) for due in islice(found, MISSED_AT_MOST)
    ]


def _due(stored: StoredSchedule, now: float) -> Iterator[tuple[Period, float]]:
    """Every time at which it should have fired, the newest first, with the period it belongs to."""
    end = now
    for period in reversed(stored.periods):
        if not period.suspended:
            times = firing_times(period.cron, period.timezone, period.since, end, newest_first=True)
            yield from ((period, due) for due in times)
        end = period.since


def _why(scheduled: float, records: Sequence[FiringRecord]) -> str:
    busy = next((record for record in records if record.state != SKIPPED and record.started <= scheduled <= record.ended), None)
    return f"{busy.execution} still ran" if busy else "nothing fired: cluster or machine were away, or could start no driver"
