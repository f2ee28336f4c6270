"""One firing of a schedule, here or in its pod: what is new is computed, a challenger is judged, all of it is recorded.

It may end at any moment. What it starts from (``opened``) is written before its first task and kept until its record is, so
whoever goes on with it decides the same, once.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

from tlbatch import __version__, steps
from tlbatch.champions.champion import ROOT as CHAMPIONS
from tlbatch.champions.champion import Champion, load_champion
from tlbatch.cluster.submission import FIRING
from tlbatch.errors import Stopped, TlbatchError, TransientError
from tlbatch.execution.side_by_side import mark_alike
from tlbatch.planning import Plan
from tlbatch.planning.champion_tasks import RULE, ChampionState, TaskState
from tlbatch.planning.resolve import plan_study
from tlbatch.planning.resolved import ResolvedStudy
from tlbatch.planning.runs import plain
from tlbatch.records.executions import Execution
from tlbatch.schedules.concluding import Say, conclude, decision_of, end_otherwise, tidy
from tlbatch.schedules.firings import (
    CANCELLED,
    FAILED,
    SKIPPED,
    SUCCEEDED,
    UNCHANGED,
    FiringRecord,
    find_firing,
    last_concluded,
    load_firings,
    save_firing,
)
from tlbatch.schedules.leases import hold_schedule
from tlbatch.schedules.open_firings import Opened, load_opened, open_firing, opened_firings
from tlbatch.schedules.pins import FILE as PINS_FILE
from tlbatch.schedules.pins import Pins, load_pins
from tlbatch.schedules.schedule import load_schedule, place, schedule_of
from tlbatch.spec import LoadedStudy
from tlbatch.spec.load import parse_study
from tlbatch.store import ConflictError, Store
from tlbatch.store.documents import DamagedError, sealed
from tlbatch.store.layout import check_format
from tlbatch.store.lease import LeaseInfo

FORGOTTEN_S = 3600.0
"""A firing in a cluster that was not heard of for so long comes back no more."""
Guard = Callable[[], None]


class Walk(Protocol):
    """Walks the plan to its end and publishes the report; returns the execution's state. Calls the guard now and then."""

    def __call__(self, execution: Execution, loaded: LoadedStudy, plan: Plan, guard: Guard) -> str: ...


@dataclass(frozen=True)
class Firing:
    """What fires, and how it is told. ``trigger``: CRON or HAND. ``here``: a process that nobody starts again."""

    name: str
    execution: str
    trigger: str
    walk: Walk
    scheduled: float | None = None
    here: bool = False
    prepare: Callable[[], None] = lambda: None  #: raises where it cannot fire at all
    hook: str = ""
    say: Say = print
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


def fire(firing: Firing, store: Store) -> FiringRecord:
    """Fire once; the same firing again goes on with it. Returns its record.

    Raises StudyError and DataError where it failed before it began (that is recorded too), and Stopped and TransientError
    for what passes: in a cluster the next pod goes on; here it is recorded.
    """
    check_format(store)
    started = firing.clock()
    with hold_schedule(store, firing.name, firing.execution, firing.sleep) as held:
        if isinstance(held, LeaseInfo):
            if load_opened(store, firing.name, firing.execution) is not None:
                raise TransientError(
                    f"{firing.execution} has begun, but {held.holder} holds the schedule: it goes on after that"
                )
            return _skipped(firing, store, held, started)
        for left in opened_firings(store, firing.name):
            if left.execution != firing.execution:
                _conclude_left(firing, store, left)
        recorded = find_firing(store, firing.name, firing.execution)
        if recorded is not None:
            tidy(store, firing.name, firing.execution)
            return recorded
        try:
            firing.prepare()
            return _fire(firing, store, held, started)
        except (Stopped, TransientError) as error:
            if firing.here:
                _record_end(firing, store, CANCELLED if isinstance(error, Stopped) else FAILED, str(error), started)
            raise
        except TlbatchError as error:
            _record_end(firing, store, FAILED, str(error), started)
            raise


def _fire(firing: Firing, store: Store, guard: Guard, started: float) -> FiringRecord:
    execution = Execution(store, firing.execution)
    opened = load_opened(store, firing.name, firing.execution)
    decision = decision_of(execution) if opened is not None else None
    if opened is None or decision is None:
        text = _study_text(firing, store, execution, opened)
        loaded = parse_study(text, f"{firing.execution}/study.yaml")
        opened, plan = _planned(firing, store, loaded, opened, started)
        if plan is None:
            return _unchanged(firing, store, opened)
        open_firing(store, opened)
        store.put(execution.name(FIRING), sealed({"schedule": firing.name, "trigger": opened.trigger}))
        with suppress(ConflictError):
            execution.save_study(text)
        state = firing.walk(execution, loaded, plan, guard)
        decision = decision_of(execution)
        if decision is None:
            return end_otherwise(store, opened, _other(state), _failures(execution, state), firing.hook, firing.say)
    guard()
    record = conclude(store, opened, decision, firing.hook, firing.say)
    firing.say(f"{firing.execution}: {record.sentence}")
    return record


def _study_text(firing: Firing, store: Store, execution: Execution, opened: Opened | None) -> str:
    """The execution's own where it has begun, else what is applied now."""
    if opened is not None and store.stat(execution.name("study.yaml")) is not None:
        return execution.load_study()
    return load_schedule(store, firing.name).study


def _planned(
    firing: Firing, store: Store, loaded: LoadedStudy, opened: Opened | None, started: float
) -> tuple[Opened, Plan | None]:
    """What the firing starts from, and its plan (None: nothing has changed). Who goes on with it meets the same champion."""
    began = opened or _began(firing, store, loaded, started)
    resolved, plan = plan_study(loaded, store, began.defence)
    for note in resolved.notes:
        firing.say(f"{firing.execution}: {note}")
    images = int(resolved.data.facts["files"])
    now = replace(began, listing=resolved.data.digest, study=study_digest(resolved), images=images)
    last = last_concluded(store, firing.name) if opened is None else None
    same = last is not None and (last.listing, last.study, last.version) == (now.listing, now.study, now.version)
    return now, None if same and not began.defence.renew else mark_alike(plan, resolved)


def _began(firing: Firing, store: Store, loaded: LoadedStudy, started: float) -> Opened:
    champion, etag = load_champion(store, firing.name)
    pins = load_pins(store, firing.name)
    _nothing_lost(store, firing.name, pins, champion)
    evaluated = pins.evaluated if pins and champion and pins.of == champion.serial else None
    known = pins is not None and champion is not None and pins.standing == champion.serial
    defence = ChampionState(
        pins=pins.ref if pins else None,
        champion=champion,
        uses=pins.uses if pins else {},
        evaluated=evaluated,
        stream=pins.stream if pins and known else None,
        renew=pins is not None and pins.renew == pins.version,
        tasks=_tasks(pins, evaluated is not None, known),
    )
    main = next(iter(loaded.study.dataset.tasks), None)
    promote_on = schedule_of(loaded).metric_of(main)
    return replace(_unseen(firing, started), promote_on=promote_on, defence=defence, etag=etag)


def _tasks(pins: Pins | None, evaluated: bool, known: bool) -> dict[str, TaskState]:
    """Of each of several tasks, by the same conditions as of one."""
    return {
        task: TaskState(own.evaluated if evaluated else None, own.stream if known else None)
        for task, own in (pins.tasks if pins else {}).items()
    }


def _nothing_lost(store: Store, name: str, pins: Pins | None, champion: Champion | None) -> None:
    """What firings decided on must be there still. Raises DamagedError: else other images would be pinned, another crowned."""
    if pins is not None and champion is not None:
        return
    decided = [record for record in load_firings(store, name) if record.state == SUCCEEDED]
    if decided and pins is None:
        restore = f"restore it from a backup of the store, or begin anew: `tlbatch schedule delete {name} --purge`"
        raise DamagedError(store.url, place(name, PINS_FILE), "it is gone, though firings decided on what it pins", restore)
    if champion is None and any(record.serial for record in decided):
        raise DamagedError(store.url, f"{CHAMPIONS}{name}.json", "it is gone, though firings had a champion")


def _unseen(firing: Firing, started: float) -> Opened:
    """Of a firing that has looked at nothing yet."""
    own = (firing.name, firing.execution, firing.trigger, firing.scheduled)
    return Opened(*own, started, listing="", study="", version=__version__, promote_on="", here=firing.here)


def study_digest(resolved: ResolvedStudy) -> str:
    """sha256 over all of a study that decides its results and what is promoted: not when it fires, nor on which machines."""
    runs = [{**asdict(run), "train": plain(run.train)} for run in [*resolved.runs, *resolved.controls]]
    for run in runs:
        (run["weights"] or {}).pop("location", None)
        if run["task"] is None:  # not said where there is one: its digest is the same as ever
            del run["task"], run["tasks"]
    schedule = resolved.study.schedule
    rule = (
        {name: value for name, value in schedule.model_dump(mode="json").items() if name in (*RULE, "fresh")}
        if schedule
        else {}
    )
    zero = [row.name for row in resolved.zero_label]
    content = {"document": resolved.document, "runs": runs, "zero": zero, "rule": rule, "steps": steps.versions()}
    if resolved.sources:
        content["sources"] = {name: data.digest for name, data in resolved.sources.items()}
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


# -- ends ---------------------------------------------------------------------------------------------------------------


def _unchanged(firing: Firing, store: Store, opened: Opened) -> FiringRecord:
    last = last_concluded(store, firing.name)
    since = f" since {last.execution}" if last else ""
    record = end_otherwise(store, opened, UNCHANGED, f"data and study are unchanged{since}: nothing to do", "", firing.say)
    firing.say(f"{firing.execution}: {record.sentence}")
    return record


def _skipped(firing: Firing, store: Store, holder: LeaseInfo, started: float) -> FiringRecord:
    sentence = f"skipped: {holder.holder} holds the schedule, one firing runs at a time"
    record = FiringRecord(
        firing.name, firing.execution, firing.trigger, firing.scheduled, started, firing.clock(), SKIPPED, sentence
    )
    firing.say(f"{firing.execution}: {sentence}")
    return save_firing(store, record)


def _conclude_left(firing: Firing, store: Store, left: Opened) -> None:
    """A firing whose driver died: what it had decided still counts; what it had not is for us to compute."""
    if find_firing(store, left.name, left.execution) is not None:
        tidy(store, left.name, left.execution)
        return
    execution = Execution(store, left.execution)
    decision = decision_of(execution)
    if decision is not None:
        record = conclude(store, left, decision, firing.hook, firing.say)
        firing.say(f"{left.execution} was left unfinished: {record.sentence}")
        return
    status = execution.last_status()
    state, heard = str(status.get("state", "")), float(status.get("updated") or left.started)
    if state in ("cancelled", "failed"):
        end_otherwise(store, left, _other(state), _failures(execution, state), firing.hook, firing.say)
    elif left.here or firing.clock() - heard > FORGOTTEN_S:
        words = "its driver ended without a word; what it computed is kept"
        end_otherwise(store, left, FAILED, words, firing.hook, firing.say)


def _record_end(firing: Firing, store: Store, state: str, sentence: str, started: float) -> None:
    """Of a firing that raised. A store that is away keeps no record either."""
    with suppress(TransientError):
        opened = load_opened(store, firing.name, firing.execution) or _unseen(firing, started)
        end_otherwise(store, opened, state, sentence, firing.hook, firing.say)


def _other(state: str) -> str:
    return CANCELLED if state in ("cancelled", "stopped") else FAILED


def _failures(execution: Execution, state: str) -> str:
    """The sentences of the tasks that failed."""
    status: dict[str, Any] = execution.last_status()
    tasks: dict[str, Any] = status.get("tasks", {})
    said = [f"{name}: {task.get('sentence', '')}" for name, task in tasks.items() if task.get("state") == "failed"]
    return "; ".join([*([str(status["sentence"])] if status.get("sentence") else []), *said]) or f"it was {state}"
