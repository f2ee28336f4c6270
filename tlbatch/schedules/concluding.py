"""What follows from a firing's decision: champion, pins, record, webhook, trend page. Done twice, each counts once."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tlbatch.champions.champion import load_champion, terms
from tlbatch.champions.decisions import CROWNING, apply_decision
from tlbatch.champions.judged import own_number
from tlbatch.errors import StudyError, TlbatchError
from tlbatch.planning.champion_tasks import DECIDE, PIN, champion_name
from tlbatch.records.eventlog import EventLog
from tlbatch.records.executions import Execution
from tlbatch.reports.listing import load_report
from tlbatch.schedules.firings import BEATEN, FAILED, SUCCEEDED, FiringRecord, find_firing, load_firings, missed, save_firing
from tlbatch.schedules.open_firings import Opened, close_firing
from tlbatch.schedules.pins import Pins, TaskPins, save_pins
from tlbatch.schedules.schedule import load_schedule, place
from tlbatch.schedules.trend import trend_page
from tlbatch.schedules.webhook import message, post
from tlbatch.store import Store
from tlbatch.store.artifacts import open_artifact
from tlbatch.tasks import InputRef

TREND = "trend/index.html"
MOST_SHOWN = 1000
"""Records are read one by one: a schedule that fires every minute has so many in a day."""

Say = Callable[[str], None]


def decision_of(execution: Execution) -> dict[str, Any] | None:
    """The decision of an execution whose tasks are all done; None before, and where its files are damaged."""
    status = execution.last_status()
    refs = refs_of(execution) if status.get("state", "succeeded") == "succeeded" else {}  # a damaged one: the plan says it too
    if DECIDE not in refs or PIN not in refs:
        return None
    with tempfile.TemporaryDirectory() as folder:
        artifact = open_artifact(execution.store, DECIDE, refs[DECIDE].key, Path(folder))
        document: dict[str, Any] | None = artifact.read_json("decision.json") if artifact else None
    return document


def refs_of(execution: Execution) -> dict[str, InputRef]:
    """Artifacts of the complete tasks of its plan, by name."""
    tasks: Mapping[str, Mapping[str, Any]] = (execution.load_plan() or {}).get("tasks", {})
    return {name: InputRef(task["step"], task["key"], task["digest"]) for name, task in tasks.items() if task.get("digest")}


def conclude(store: Store, opened: Opened, decision: Mapping[str, Any], hook: str, say: Say) -> FiringRecord:
    """Resolve the decision and record the firing."""
    execution = Execution(store, opened.execution)
    refs = refs_of(execution)
    made = apply_decision(store, opened.name, opened.execution, decision, refs[DECIDE], refs[PIN], opened.seen)
    test = dict(decision.get("test") or {})
    version = int(test.get("version") or 1)
    seen = opened.defence.champion
    main, *_ = (of_tasks := [str(task["name"]) for task in decision.get("tasks") or ()]) or (None,)
    evaluated = refs.get(champion_name(main))
    standing = made or seen
    who = "challenger" if made else "champion"
    judged = decision.get(who) or {}
    beaten = made is None and decision["outcome"] in CROWNING  # then what is corrected is not of who stands
    fair = None if beaten else decision.get("corrected")
    each = dict(zip(of_tasks, decision.get("tasks") or (), strict=True))
    save_pins(
        store,
        opened.name,
        Pins(
            ref=refs[PIN],
            version=version,
            uses={version: int(test.get("count") or 0)},
            evaluated=evaluated,
            of=seen.serial if seen and evaluated else None,
            standing=standing.serial if standing else None,
            stream=decision.get("stream"),
            fresh=judged.get("fresh"),
            corrected=fair,
            tasks={
                name: TaskPins(
                    evaluated=refs.get(champion_name(name)),
                    stream=said.get("stream"),
                    fresh=(said.get(who) or {}).get("fresh"),
                    corrected=None if beaten else said.get("corrected"),
                )
                for name, said in each.items()
            },
        ),
    )
    outcome, sentence = str(decision["outcome"]), str(decision.get("sentence", ""))
    if outcome in CROWNING and made is None:
        outcome, sentence = BEATEN, f"{sentence} It was not crowned: the champion changed meanwhile."
    champion, _ = load_champion(store, opened.name)
    record = replace(
        _record(opened, SUCCEEDED, sentence),
        outcome=outcome,
        serial=champion.serial if champion else None,
        metrics=_metrics(decision, opened.promote_on),
        fresh=judged.get("fresh"),
        corrected=fair,
        test=test,
        tasks=tuple(
            {
                "name": name,
                "metrics": _metrics(said, str(said["rule"]["promote_on"])),
                "fresh": (said.get(who) or {}).get("fresh"),
                "corrected": None if beaten else said.get("corrected"),
            }
            for name, said in each.items()
        ),
    )
    return finish(store, opened, record, hook, say)


def end_otherwise(store: Store, opened: Opened, state: str, sentence: str, hook: str, say: Say) -> FiringRecord:
    """Record a firing that came to no decision."""
    champion, _ = load_champion(store, opened.name)
    record = replace(_record(opened, state, sentence), serial=champion.serial if champion else None)
    return finish(store, opened, record, hook, say)


def finish(store: Store, opened: Opened, record: FiringRecord, hook: str, say: Say) -> FiringRecord:
    """Tell the webhook, write the record, draw the trend. Where a driver dies in here a message may come twice, no record."""
    present = find_firing(store, record.name, record.execution)
    if present is None:
        if hook and record.state in (SUCCEEDED, FAILED):
            record = replace(record, webhook=_tell(store, record, hook, say))
        present = save_firing(store, record)
    tidy(store, record.name, record.execution)
    return present


def tidy(store: Store, name: str, execution: str) -> None:
    """What is left to do for a firing that has its record: the trend page, then it is closed."""
    draw_trend_page(store, name)
    close_firing(store, name, execution)


def draw_trend_page(store: Store, name: str) -> None:
    """``schedules/<name>/trend/index.html``: the newest firings, and the missed ones among them."""
    records = load_firings(store, name, MOST_SHOWN)
    oldest = records[-1].started if len(records) == MOST_SHOWN else 0.0
    with suppress(StudyError):  # a schedule deleted meanwhile misses nothing
        records += [each for each in missed(load_schedule(store, name), records, None, time.time()) if each.started > oldest]
    firings = [asdict(record) for record in records]
    crowned = [asdict(champion) for champion in terms(store, name)]
    store.put(place(name, TREND), trend_page(name, firings, crowned).encode())


def _record(opened: Opened, state: str, sentence: str) -> FiringRecord:
    own = {each: getattr(opened, each) for each in ("name", "execution", "trigger", "scheduled", "started")}
    seen = {each: getattr(opened, each) for each in ("listing", "study", "version", "images")}
    return FiringRecord(**own, **seen, ended=time.time(), state=state, sentence=sentence)


def _metrics(decision: Mapping[str, Any], metric: str) -> dict[str, Any]:
    """The metric of the two as the decision has it: {value, low, high}."""
    both = {who: ((decision.get(who) or {}).get("metrics") or {}).get(metric) for who in ("challenger", "champion")}
    return {metric: both}


def _tell(store: Store, record: FiringRecord, hook: str, say: Say) -> str:
    """ "sent", or why not: an event and a line, and nothing more."""
    execution = Execution(store, record.execution)
    said = post(hook, message(summary(record), _table(execution)))
    log = EventLog(execution, "firing")
    log.add("webhook", sent=not said, sentence=said)
    with suppress(TlbatchError):
        log.flush()
    if said:
        say(said)
    return said or "sent"


def summary(record: FiringRecord) -> str:
    """One line: the schedule, what came of it, the sentence; what the champion scores on images that no decision consulted."""
    what = record.outcome or record.state
    own = [words for task, of_it in record.each_task if (words := _own_words(task, of_it))]
    said = f" The champion has {'; '.join(own)}." if own else ""
    return f"{record.name}: {what}. {record.sentence}{said}".rstrip()


def _own_words(task: str | None, record: FiringRecord) -> str:
    """'accuracy 0.905 on …', of several tasks 'breed: accuracy …'."""
    metric = next(iter(record.metrics), "")
    found = own_number(metric, record.fresh, record.corrected)
    of_task = f"{task}: " if task else ""
    return f"{of_task}{metric.replace('_', ' ')} {found.words}" if found else ""


def _table(execution: Execution) -> list[str]:
    from tlbatch.display.text import text_table

    table = (load_report(execution) or {}).get("table") or {}
    return text_table([str(column) for column in table.get("columns", [])], table.get("rows", []))
