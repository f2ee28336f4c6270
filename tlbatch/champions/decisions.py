"""What firings decided about a champion: ``champions/<name>/decisions/<time>-<execution>.json``, and what follows from it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import takewhile
from typing import Any

from tlbatch.champions.champion import ROOT, BeatenError, Champion, ChampionTask, crown, each_term
from tlbatch.errors import StudyError
from tlbatch.store import Store
from tlbatch.store.artifacts import load_manifest, read_file
from tlbatch.store.documents import checked, read, read_each, sealed
from tlbatch.tasks import InputRef

CROWNING = ("first", "promoted")
"""Outcomes of a decision that make its challenger the champion."""


@dataclass
class ClassesShape:
    """What is read of an evaluation's ``metrics.json``."""

    classes: list[str]


@dataclass
class DecisionShape:
    """What a decision's record must look like; other fields are let through."""

    execution: str
    outcome: str | None = None
    sentence: str | None = None
    time: float | None = None
    seen: int | None = None
    settled: dict[str, int | None] | None = None
    challenger: dict[str, Any] | None = None


def record_decision(
    store: Store, name: str, execution_id: str, document: Mapping[str, Any], clock: Callable[[], float] = time.time
) -> str:
    """Write ``champions/<name>/decisions/<time>-<execution>.json``; a second one of the same execution takes its place."""
    now = clock()
    place = _decision_name(store, name, execution_id)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    place = place or f"{ROOT}{name}/decisions/{stamp}-{execution_id}.json"
    store.put(place, sealed({"time": now, **document, "execution": execution_id}))
    return place


def _decision_name(store: Store, name: str, execution_id: str) -> str | None:
    """Where this execution's decision is recorded; None where it is not."""
    prefix = f"{ROOT}{name}/decisions/"
    names = [stat.name for stat in store.list(prefix)]
    return next((each for each in names if each.removeprefix(prefix).partition("-")[2] == f"{execution_id}.json"), None)


def decisions(store: Store, name: str) -> list[dict[str, Any]]:
    """All decisions about a champion, the newest first. Damaged ones are told and left out."""
    names = [stat.name for stat in store.list(f"{ROOT}{name}/decisions/")]
    return read_each(store, reversed(names), checked(DecisionShape))


def apply_decision(
    store: Store,
    name: str,
    execution_id: str,
    decision: Mapping[str, Any],
    decided: InputRef,
    pins: InputRef | None,
    seen: tuple[Champion | None, str | None],
    clock: Callable[[], float] = time.time,
) -> Champion | None:
    """What follows from a firing's decision: it is recorded, and on ``first`` and ``promoted`` its challenger is crowned.

    ``seen`` is what ``load_champion`` said when the plan was made. Returns the champion that this execution made, else
    None; where another process moved the champion meanwhile, nothing is crowned and the record says ``beaten``. An
    execution that resolves twice (its driver started anew) resolves once.
    """
    by = f"execution {execution_id}"
    place = _decision_name(store, name, execution_id)
    earlier = (read(store, place, checked(DecisionShape)) if place else None) or {}
    made = _made_by(store, name, by, int(earlier.get("seen") or 0)) if earlier else None
    if earlier.get("settled"):
        return made
    if made is not None:
        record_decision(store, name, execution_id, {**earlier, "settled": {"serial": made.serial}}, clock)
        return made
    seen_serial = seen[0].serial if seen[0] else 0
    refs = {"decided": asdict(decided), "pins": asdict(pins) if pins else None, "seen": seen_serial}
    document: dict[str, Any] = {**decision, **refs, "settled": None}
    record_decision(store, name, execution_id, document, clock)
    if decision["outcome"] in CROWNING:
        try:
            challenger = _challenger(store, name, decision, decided, pins, seen[0])
            made = crown(store, replace(challenger, crowned=clock(), by=by), seen[1])
        except BeatenError as error:
            document["outcome"] = "beaten"
            document["sentence"] = f"{decision.get('sentence', '')} It was not crowned: {error}.".strip()
    settled = {"serial": made.serial if made else None}
    record_decision(store, name, execution_id, {**document, "settled": settled}, clock)
    return made


def _made_by(store: Store, name: str, by: str, after: int) -> Champion | None:
    """The term that ``by`` began, of those with serials above ``after``."""
    later = takewhile(lambda term: term.serial > after, each_term(store, name))
    return next((term for term in later if term.by == by), None)


def _challenger(
    store: Store, name: str, decision: Mapping[str, Any], decided: InputRef, pins: InputRef | None, before: Champion | None
) -> Champion:
    """The champion that the decision's challenger would be."""
    challenger = decision["challenger"]
    evaluation = InputRef(**challenger["evaluation"])
    return Champion(
        name=name,
        serial=before.serial + 1 if before else 1,
        study=name,
        run=str(challenger["run"]),
        seed=int(challenger["seed"]),
        models={role: InputRef(**ref) for role, ref in challenger["models"].items()},
        evaluation=evaluation,
        pins=pins,
        test_version=int((decision.get("test") or {}).get("version") or 1),
        classes=classes_of(store, evaluation),
        metrics=dict(challenger.get("metrics") or {}),
        asked=int((decision.get("test") or {}).get("k") or 0),
        fresh=challenger.get("fresh"),
        corrected=decision.get("corrected"),
        sentence=str(decision.get("sentence", "")),
        before=before.serial if before else None,
        decided=decided,
        tasks=tuple(_of_task(store, task) for task in decision.get("tasks") or ()),
    )


def _of_task(store: Store, decision: Mapping[str, Any]) -> ChampionTask:
    """The challenger's part of one of several tasks."""
    challenger = decision["challenger"]
    evaluation = InputRef(**challenger["evaluation"])
    return ChampionTask(
        name=str(decision["name"]),
        models={role: InputRef(**ref) for role, ref in challenger["models"].items()},
        evaluation=evaluation,
        classes=classes_of(store, evaluation),
        metrics=dict(challenger.get("metrics") or {}),
        fresh=challenger.get("fresh"),
        corrected=decision.get("corrected"),
    )


def classes_of(store: Store, evaluation: InputRef) -> tuple[str, ...]:
    """The classes a model was evaluated on. Raises StudyError where the evaluation is gone."""
    manifest = load_manifest(store, evaluation.step, evaluation.key)
    if manifest is None or "metrics.json" not in manifest.files:
        raise StudyError(f"{store.url}/artifacts/{evaluation.step}/{evaluation.key} is gone: run the study again")
    return tuple(read_file(store, manifest, "metrics.json", checked(ClassesShape))["classes"])
