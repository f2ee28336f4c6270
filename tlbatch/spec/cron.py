"""Cron expressions as Kubernetes reads them (github.com/robfig/cron, five fields): what is wrong with one, when it fires."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import takewhile
from zoneinfo import ZoneInfo

_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("day of the week", 0, 6))
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


def cron_mistake(text: str) -> str | None:
    """What is wrong with a cron expression of five fields, as Kubernetes reads it; None when nothing is."""
    if text in _MACROS:
        return None
    fields = text.split()
    if len(fields) != 5:
        return f'has {len(fields)} fields, not five: minute hour day month weekday, e.g. "0 3 * * *"'
    for value, (name, low, high) in zip(fields, _FIELDS, strict=True):
        names = _MONTHS if name == "month" else _DAYS if name == "day of the week" else ()
        if not all(_part(part, low, high, names) for part in value.split(",")):
            sunday = "; Sunday is 0" if "7" in value and high == 6 else ""
            return f"{value!r} is not a {name} ({low} to {high}{sunday})"
    return _never(text)


def firing_times(cron: str, timezone: str, after: float, until: float, *, newest_first: bool = False) -> Iterator[float]:
    """When it fires, as Unix times in s: later than ``after``, at ``until`` at the latest. Raises ValueError for no cron."""
    from cronsim import CronSim, CronSimError

    start = math.floor(until) + 1 if newest_first else after
    try:
        times = CronSim(_simulated(cron), datetime.fromtimestamp(start, ZoneInfo(timezone)), reverse=newest_first)
    except CronSimError as error:
        raise ValueError(f"{cron!r} is no cron expression: {error}") from error
    stamps = (time.astimezone(UTC).timestamp() for time in times)
    return takewhile(lambda stamp: after < stamp <= until, stamps)


def next_firing(cron: str, timezone: str, after: float) -> float | None:
    """The first time later than ``after``; None where it does not come within 30 years. Raises ValueError for no cron."""
    return next(firing_times(cron, timezone, after, after + 30 * 366 * 86400), None)


def _never(text: str) -> str | None:
    try:
        comes = next_firing(text, "Etc/UTC", 0.0) is not None
    except ValueError:
        comes = False
    return None if comes else f"{text!r} never comes: no month it names has that day"


def _simulated(text: str) -> str:
    """For CronSim, which knows no macros and no ``?``, and for which a ``*/2`` day and a weekday must both hold."""
    minute, hour, day, month, weekday = _MACROS.get(text, text).replace("?", "*").split()
    day = re.sub(r"\*/(?!1(?!\d))", "1-31/", day)
    weekday = re.sub(r"\*/(?!1(?!\d))", "0-6/", weekday)
    return " ".join((minute, hour, day, month, re.sub(r"(^|,)(\d)/", r"\1\2-6/", weekday)))


def _part(part: str, low: int, high: int, names: Sequence[str]) -> bool:
    match = re.fullmatch(r"(\*|\?|[0-9a-z]+)(?:-([0-9a-z]+))?(?:/([0-9]+))?", part.lower())
    if match is None or (match[3] is not None and int(match[3]) < 1):
        return False
    if match[1] in {"*", "?"}:
        return match[2] is None
    ends = [_number(text, low, names) for text in match.groups()[:2] if text is not None]
    return all(low <= end <= high for end in ends) and ends == sorted(ends)


def _number(text: str, low: int, names: Sequence[str]) -> int:
    if text in names:
        return names.index(text) + low
    return int(text) if text.isdecimal() else -1
