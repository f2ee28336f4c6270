"""What the trend page reads of a schedule's records: firings and terms, leniently, in order of time. Pure."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tlbatch.champions.judged import Own, own_number

SHARES = ("accuracy", "balanced_accuracy")
"""Metrics that are written in per cent."""
CROWNED = ("first", "promoted")


@dataclass(frozen=True)
class Value:
    """A metric with its 95 % interval, where known."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Point:
    """One firing. ``when`` is Unix time in s; ``what`` the decision's outcome, else the firing's state.

    ``crowned`` is the serial of the champion that it made; ``asked`` how often its test images were; ``own`` the own number of
    the champion after it, of number ``standing``.
    """

    execution: str
    when: float
    scheduled: float | None
    trigger: str
    what: str
    sentence: str
    challenger: Value | None = None
    champion: Value | None = None
    version: int | None = None
    crowned: int | None = None
    asked: int | None = None
    own: Own | None = None
    standing: int | None = None


@dataclass(frozen=True)
class Term:
    """One champion of the history, oldest first; ``by_hand`` where a person promoted it or rolled back to it."""

    serial: int
    run: str
    when: float
    by: str
    sentence: str
    value: Value | None
    version: int | None
    asked: int | None = None
    own: Own | None = None  #: its own number when it was crowned

    @property
    def by_hand(self) -> bool:
        return not self.by.startswith("execution ")


@dataclass(frozen=True)
class Trend:
    """What is told of a schedule, of several tasks of one (``task``)."""

    task: str | None
    metric: str
    points: list[Point]
    terms: list[Term]

    @property
    def title(self) -> str:
        """'accuracy', 'breed: accuracy'."""
        return f"{self.task_words}{self.metric_words}"

    @property
    def task_words(self) -> str:
        return f"{self.task}: " if self.task else ""

    @property
    def metric_words(self) -> str:
        return self.metric.replace("_", " ")


def trends_of(firings: Sequence[Mapping[str, Any]], terms: Sequence[Mapping[str, Any]]) -> list[Trend]:
    """One; of several tasks, as the newest firing that has numbers names them, one for each."""
    newest = sorted(firings, key=_when, reverse=True)
    named = next((names for firing in newest if (names := list(_tasks(firing)))), [])
    tasks: list[str | None] = [*named] or [None]
    return [_trend(task, [_as_of(each, task) for each in firings], [_as_of(each, task) for each in terms]) for task in tasks]


def _trend(task: str | None, firings: Sequence[Mapping[str, Any]], terms: Sequence[Mapping[str, Any]]) -> Trend:
    metric = metric_of(firings, terms)
    crowned = terms_of(terms, metric)
    return Trend(task, metric, points_of(firings, crowned, metric), crowned)


def _tasks(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What a firing or a term says of each of several tasks."""
    found = document.get("tasks")
    each = found if isinstance(found, list | tuple) else ()
    return {str(task["name"]): task for task in each if isinstance(task, Mapping) and "name" in task}


def _as_of(document: Mapping[str, Any], task: str | None) -> Mapping[str, Any]:
    """As if that task were the only one; without numbers where it says nothing of it."""
    if task is None:
        return document
    own: Mapping[str, Any] = _tasks(document).get(task, {})
    return {**document, **{name: own.get(name) for name in ("metrics", "fresh", "corrected")}}


def metric_of(firings: Sequence[Mapping[str, Any]], terms: Sequence[Mapping[str, Any]]) -> str:
    """The metric that decides: that of the newest firing that has one."""
    newest = sorted(firings, key=_when, reverse=True)
    found = next((name for firing in newest for name in _metrics(firing)), None)
    return found or next((name for term in terms for name in term.get("metrics") or {}), "accuracy")


def points_of(firings: Sequence[Mapping[str, Any]], terms: Sequence[Term], metric: str) -> list[Point]:
    """Firings in order of time."""
    crowned = {term.by.removeprefix("execution "): term.serial for term in terms if not term.by_hand}
    return [_point(firing, metric, crowned) for firing in sorted(firings, key=_when)]


def terms_of(terms: Sequence[Mapping[str, Any]], metric: str) -> list[Term]:
    """Champions in the order of their terms."""
    found = [
        Term(
            serial=int(term.get("serial") or 0),
            run=str(term.get("run") or ""),
            when=_seconds(term.get("crowned")) or 0.0,
            by=str(term.get("by") or ""),
            sentence=str(term.get("sentence") or ""),
            value=_value((term.get("metrics") or {}).get(metric)),
            version=_whole(term.get("test_version")),
            asked=_whole(term.get("asked")),
            own=own_number(
                metric,
                _mapping(term.get("fresh")),
                _mapping(term.get("corrected")),
                _mapping((term.get("metrics") or {}).get(metric)),
                _whole(term.get("asked")),
            ),
        )
        for term in terms
    ]
    return sorted(found, key=lambda term: term.serial)


def _point(firing: Mapping[str, Any], metric: str, crowned: Mapping[str, int]) -> Point:
    said = firing.get("decision")
    decision: Mapping[str, Any] = said if isinstance(said, Mapping) else {"outcome": said}
    outcome = decision.get("outcome") or firing.get("outcome")
    values = _metrics(firing).get(metric) or {}
    test = firing.get("test") or decision.get("test") or {}
    execution = str(firing.get("execution") or "")
    version = test.get("version") if isinstance(test, Mapping) else None
    return Point(
        execution=execution,
        when=_when(firing),
        scheduled=_seconds(firing.get("scheduled")),
        trigger=str(firing.get("trigger") or ""),
        what=str(outcome or firing.get("state") or "unknown"),
        sentence=str(decision.get("sentence") or firing.get("sentence") or ""),
        challenger=_value(values.get("challenger")),
        champion=_value(values.get("champion")),
        version=_whole(version if version is not None else firing.get("test_version")),
        crowned=crowned.get(execution),
        asked=_whole(test.get("k")) if isinstance(test, Mapping) else None,
        own=own_number(metric, _mapping(firing.get("fresh")), _mapping(firing.get("corrected"))),
        standing=_whole(firing.get("serial")),
    )


def _mapping(found: Any) -> Mapping[str, Any] | None:
    return found if isinstance(found, Mapping) else None


def _metrics(firing: Mapping[str, Any]) -> Mapping[str, Any]:
    found = firing.get("metrics")
    return found if isinstance(found, Mapping) else {}


def _when(firing: Mapping[str, Any]) -> float:
    times = (_seconds(firing.get(name)) for name in ("started", "scheduled", "ended"))
    return next((seconds for seconds in times if seconds is not None), 0.0)


def _seconds(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _whole(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) else None


def _value(found: Any) -> Value | None:
    if isinstance(found, int | float) and math.isfinite(found):
        return Value(float(found))
    if not isinstance(found, Mapping) or (value := _seconds(found.get("value"))) is None:
        return None
    return Value(value, _seconds(found.get("low")), _seconds(found.get("high")))


def shown(metric: str, value: float) -> str:
    """'92.1 %' or '0.921'."""
    return f"{100 * value:.1f} %" if metric in SHARES else f"{value:.3f}"


def shown_interval(metric: str, value: Value) -> str:
    """'90.0 – 93.6', or nothing where there is none."""
    if value.low is None or value.high is None:
        return ""
    scale, digits = (100, 1) if metric in SHARES else (1, 3)
    return f"{scale * value.low:.{digits}f} – {scale * value.high:.{digits}f}"


def in_words(metric: str, value: Value) -> str:
    """'92.1 % (90.0 – 93.6)'."""
    interval = shown_interval(metric, value)
    return shown(metric, value.value) + (f" ({interval})" if interval else "")


def day(seconds: float) -> str:
    """'2026-11-25 03:00', UTC."""
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds)) if seconds else "–"
