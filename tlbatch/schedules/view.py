"""A schedule as people see it: when it fires, what came of it, what it missed, who is champion. From the store alone."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from tlbatch import nouns
from tlbatch.champions.champion import Champion, load_champion
from tlbatch.champions.judged import Own, fresh_number, own_number, times
from tlbatch.schedules.concluding import TREND
from tlbatch.schedules.firings import MISSED_AT_MOST, FiringRecord, load_firings, missed
from tlbatch.schedules.open_firings import load_opened
from tlbatch.schedules.pins import Pins, load_pins, numbers_now
from tlbatch.schedules.schedule import HERE, StoredSchedule, is_suspended, live_lease, load_schedule, next_time, place
from tlbatch.spec.resources import Schedule
from tlbatch.store import Store

RUNNING = "running"
SENTENCE_LENGTH = 90
WORN_AFTER = 100  #: questions to one test set, after which others are advised (as jobs.promotion.sentences does)


def columns(tasks: Sequence[str] = ()) -> list[str]:
    """``champion``: the own number of who stands after it; ``test``: challenger and champion on the pinned test images.

    Of several tasks a number of each, in their order.
    """
    of = f" ({' / '.join(tasks)})" if tasks else ""
    return ["fired", "by", "state", f"champion{of}", "test: new", "test: old", "asked", nouns.items(), "execution", ""]


@dataclass(frozen=True)
class View:
    """``firings``: records, the one that runs, and the missed ones, the newest first."""

    stored: StoredSchedule
    schedule: Schedule
    firings: list[FiringRecord]
    missed: int
    pins: Pins | None
    champion: Champion | None
    next: float | None
    page: str

    @property
    def tasks(self) -> tuple[str, ...]:
        """Of several, the main one first; none where there is one."""
        return self.stored.loaded.study.dataset.tasks

    @property
    def metric(self) -> str:
        """What the firings' models are compared by, of several tasks in the main one."""
        return self.schedule.metric_of(next(iter(self.tasks), None))

    def of_task(self, task: str | None) -> View:
        """As if that one of several tasks were the only one. A champion of other tasks, which a person made, has no numbers."""
        if task is None:
            return self
        champion = self.champion
        known = champion is not None and task in champion.each_task
        return replace(
            self,
            schedule=self.schedule.model_copy(update={"promote_on": self.schedule.metric_of(task)}),
            pins=self.pins.of_task(task) if self.pins else None,
            champion=champion.of_task(task) if champion is not None and known else None,
        )

    def to_json(self) -> dict[str, Any]:
        stored = {name: value for name, value in asdict(self.stored).items() if name not in ("study", "periods")}
        champion = self.champion
        return {
            **stored,
            **self.schedule.model_dump(mode="json"),
            "suspended": is_suspended(self.stored),
            "next": self.next,
            "missed": self.missed,
            "pins": asdict(self.pins) if self.pins else None,
            "champion": {"serial": champion.serial, "run": champion.run, "seed": champion.seed} if champion else None,
            "last": asdict(self.firings[0]) if self.firings else None,
            "page": self.page,
        }


def view(store: Store, name: str, now: float | None = None) -> View:
    """Raises StudyError where there is no such schedule."""
    now = time.time() if now is None else now
    stored = load_schedule(store, name)
    records = load_firings(store, name)
    running = _running(store, name, now)
    found = missed(stored, records, running.scheduled if running else None, now)
    firings = [*records, *([running] if running else []), *found]
    local = store.local_path(place(name, TREND))
    return View(
        stored=stored,
        schedule=_schedule(stored),
        firings=sorted(firings, key=lambda record: record.scheduled or record.started, reverse=True),
        missed=len(found),
        pins=load_pins(store, name),
        champion=load_champion(store, name)[0],
        next=next_time(stored, now),
        page=str(local) if local is not None else f"{store.url}/{place(name, TREND)}",
    )


def _schedule(stored: StoredSchedule) -> Schedule:
    schedule = stored.loaded.study.schedule
    assert schedule is not None  # none is applied without
    return schedule


def _running(store: Store, name: str, now: float) -> FiringRecord | None:
    """The firing that holds the schedule now, as if it had a record."""
    holder = live_lease(store, name, now)
    if holder is None:
        return None
    opened = load_opened(store, name, holder.holder)
    if opened is None:
        return FiringRecord(name, holder.holder, "", None, holder.taken, now, RUNNING, "looks at what is new")
    started, sentence = opened.started, f"`tlbatch status {opened.execution}` shows where it stands"
    record = FiringRecord(name, opened.execution, opened.trigger, opened.scheduled, started, now, RUNNING, sentence)
    return replace(record, images=opened.images)


# -- in words -----------------------------------------------------------------------------------------------------------


def lines(seen: View, now: float | None = None) -> list[str]:
    """For ``schedule show``."""
    now = time.time() if now is None else now
    stored, schedule = seen.stored, seen.schedule
    where = "this machine: `tlbatch schedule trigger --here`" if stored.where == HERE else _namespace(stored)
    cells = {
        "schedule": f"{stored.name}: {schedule.cron} in {schedule.timezone}, on {where}",
        "next firing": _next(seen, now),
        "promotes": _rule(schedule, seen.tasks),
        "champion": _champion(seen),
        **_numbers(seen),
        f"test {nouns.items()}": _worn(seen),
        "last firing": _last(seen),
        "missed": _missed(seen),
        "trend": seen.page,
    }
    width = max(12, *(len(name) for name in seen.tasks), 0)
    return [f"{name:<{width}}  {text}" for name, text in cells.items() if text]


def _numbers(seen: View) -> dict[str, str]:
    """The champion's own number, and that on few fresh images; of several tasks both of each, in a line."""
    if not seen.tasks:
        own = _own(seen)
        return {seen.metric.replace("_", " "): own.words if own else "", "fresh": _fresh(seen)}
    found = {}
    for task in seen.tasks:
        view = seen.of_task(task)
        own, fresh = _own(view), _fresh(view)
        said = [f"{view.schedule.metric_of().replace('_', ' ')} {own.words}"] if own else []
        found[task] = "; ".join([*said, *([f"fresh: {fresh}"] if fresh else [])])
    return found


def cells(record: FiringRecord, timezone: str, metric: str) -> list[str]:
    """A firing's texts under ``columns``; of several tasks ``metric`` is of the main one, and each has its own."""
    state = f"{record.state}, {record.outcome}" if record.outcome else record.state
    of_tasks = [_task_cells(own, metric if task is None else next(iter(own.metrics), metric)) for task, own in record.each_task]
    numbers = [" / ".join(each) if any(each) else "" for each in zip(*of_tasks, strict=True)]
    images = str(record.images) if record.images else ""
    fired = when(record.scheduled or record.started, timezone)
    said = record.sentence if len(record.sentence) <= SENTENCE_LENGTH else f"{record.sentence[: SENTENCE_LENGTH - 1].rstrip()}…"
    asked = f"{record.test['k']}x" if record.test.get("k") else ""
    return [fired, record.trigger, state, *numbers, asked, images, record.execution, said]


def _task_cells(record: FiringRecord, metric: str) -> list[str]:
    """The champion's own number after it, and challenger and champion on the test images."""
    both: Mapping[str, Any] = record.metrics.get(metric) or {}
    own = own_number(metric, record.fresh, record.corrected, _measured(record, both), 0)
    return [f"{own.value:.3f}" if own else "", *(_value(both.get(who)) for who in ("challenger", "champion"))]


def _measured(record: FiringRecord, both: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Who stands, on test images on which nobody was chosen; None where somebody was."""
    found = both.get("challenger" if record.outcome == "first" else "champion")
    return found if isinstance(found, Mapping) and not record.test.get("k") else None


def when(seconds: float, timezone: str) -> str:
    """``2026-11-26 03:00 +0800``."""
    return datetime.fromtimestamp(seconds, ZoneInfo(timezone)).strftime("%Y-%m-%d %H:%M %z")


def _namespace(stored: StoredSchedule) -> str:
    namespace = stored.site.get("namespace")
    return f"the cluster, namespace {namespace}" if namespace else "the cluster"


def _next(seen: View, now: float) -> str:
    if seen.next is None:
        by = "the study says so" if seen.schedule.suspend else f"`tlbatch schedule resume {seen.stored.name}`"
        return f"suspended: {by}"
    hours = max(0.0, (seen.next - now) / 3600)
    wait = f"{hours * 60:.0f} min" if hours < 1.5 else f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} days"
    return f"{when(seen.next, seen.schedule.timezone)} (in {wait})"


def _rule(schedule: Schedule, tasks: Sequence[str]) -> str:
    """What a challenger must be; of several tasks in each, and where it must be better in one."""
    text = f"what is not shown to be worse in {schedule.metric_of().replace('_', ' ')} and harms no class"
    if tasks:
        each = {task: schedule.metric_of(task).replace("_", " ") for task in tasks}
        same = len(set(each.values())) == 1
        metrics = f"{each[tasks[0]]} of {' or '.join(tasks)}" if same else " or ".join(f"{m} of {t}" for t, m in each.items())
        text = f"what is not shown to be worse in {metrics} and harms no class of any"
    if schedule.promote == "better":
        at_least = f" by {schedule.min_gain:g} or more" if schedule.min_gain else ""
        text += f", and shown to be better{at_least}" + (" in one of them" if tasks else "")
    return text


def _champion(seen: View) -> str:
    champion = seen.champion
    if champion is None:
        return "none yet"
    since = when(champion.crowned, seen.schedule.timezone)
    return f"number {champion.serial}: {champion.run}, seed {champion.seed}, since {since} ({champion.by})"


def _own(seen: View) -> Own | None:
    """The champion's own number."""
    champion, metric = seen.champion, seen.schedule.metric_of()
    if champion is None:
        return None
    fresh, corrected = numbers_now(seen.pins, champion)
    return own_number(metric, fresh, corrected, champion.metrics.get(metric), champion.asked)


def _fresh(seen: View) -> str:
    """What the champion scores on few fresh images; why there are none."""
    if seen.champion is None:
        return ""
    few = fresh_number(numbers_now(seen.pins, seen.champion)[0], seen.schedule.metric_of())
    if few is not None:
        return few.words if few != _own(seen) else ""
    if not seen.schedule.fresh:
        return f"none: schedule.fresh is 0, so the champion has no number but that of the {nouns.items()} it was chosen on"
    return f"none yet: {seen.schedule.fresh:.0%} of new {nouns.items()} judge the champion before they train"


def _worn(seen: View) -> str:
    if seen.pins is None:
        return "pinned at the first firing"
    pins = seen.pins
    if pins.renew == pins.version:
        return f"version {pins.version}, {times(pins.asked)}; the next firing pins others"
    if not pins.asked:
        return f"version {pins.version} has decided nothing yet"
    worn = f": worn, `tlbatch schedule renew {seen.stored.name}` pins others" if pins.asked >= WORN_AFTER else ""
    return f"version {pins.version}, {times(pins.asked)}{worn}"


def _last(seen: View) -> str:
    last = next((record for record in seen.firings if record.execution), None)
    return "" if last is None else "  ".join([when(last.started, seen.schedule.timezone), last.state, last.sentence]).strip()


def _missed(seen: View) -> str:
    latest = next((record for record in seen.firings if not record.execution), None)
    if latest is None:
        return ""
    more = " or more" if seen.missed == MISSED_AT_MOST else ""
    return f"{seen.missed}{more}, the last {when(latest.started, seen.schedule.timezone)}: {latest.sentence}"


def _value(estimate: Any) -> str:
    value = estimate.get("value") if isinstance(estimate, Mapping) else estimate
    return f"{value:.4f}" if isinstance(value, int | float) else ""
