"""Cron expressions as Kubernetes reads them: what is wrong with one, and when it fires in a time zone.

The CronJob controller takes github.com/robfig/cron v3.0.1, its standard parser, on the expression with the job's time zone.
This module accepts what that accepts and fires when that fires, clock changes included: what falls into the hour that spring
skips does not fire that night (``30 2 29 3 *``, Europe/Berlin), what falls into the hour that autumn repeats fires twice. A
test compares both, by the library itself where Go is there.
"""

from __future__ import annotations

import calendar
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
#: name, lowest, highest, names of numbers
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, {name: i for i, name in enumerate(_MONTHS, 1)}),
    ("day of the week", 0, 6, {name: i for i, name in enumerate(_DAYS)}),
)
_MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_EVERY = "@every "
_UNITS_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}
_DURATION = re.compile(r"[+-]?(?:0|(?:(?:\d+\.?\d*|\.\d+)(?:h|ms|m|s|us|µs|μs|ns))+)", re.ASCII)
_SPACE = re.compile("[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")  # Go's, which lacks \x1c to \x1f
_YEARS = 5  # a time later than that is none, for the controller
_CYCLE = range(1970, 1998, 4)  # 28 years have every date on every weekday


@dataclass(frozen=True)
class Times:
    """When an expression holds. ``starred``: day of the month or of the week is a star, so that both must hold, not one."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    starred: bool

    def has_day(self, day: datetime) -> bool:
        of_month, of_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return (of_month and of_week) if self.starred else (of_month or of_week)


def cron_mistake(text: str) -> str | None:
    """What is wrong with a cron expression, as Kubernetes reads it; None when nothing is."""
    try:
        schedule = parse(text)
    except ValueError as error:
        return str(error)
    if isinstance(schedule, Times) and not any(_next(schedule, _utc(year), ZoneInfo("UTC")) for year in _CYCLE):
        return f"{text!r} never comes: no month it names has that day"
    return None


def parse(text: str) -> Times | float:
    """Times, or of ``@every 90m`` the seconds between two. Raises ValueError, with the sentence, for no cron expression."""
    if "TZ" in text:
        raise ValueError("names a time zone, which Kubernetes refuses there: write it as schedule.timezone")
    if text.startswith(_EVERY):
        return _every(text.removeprefix(_EVERY))
    if text.startswith("@") and text not in _MACROS:
        raise ValueError(f"{text!r} is none of {', '.join(_MACROS)} and '@every 12h'")
    fields = [field for field in _SPACE.split(_MACROS.get(text, text)) if field]
    if len(fields) != 5:
        raise ValueError(f'has {len(fields)} fields, not five: minute hour day month weekday, e.g. "0 3 * * *"')
    found = [_field(value, *about) for value, about in zip(fields, _FIELDS, strict=True)]
    (minutes, _), (hours, _), (days, any_day), (months, _), (weekdays, any_weekday) = found
    times = Times(minutes, hours, days, months, weekdays, any_day or any_weekday)
    one_day_will_do = not times.starred and (days or weekdays)
    for value, (numbers, _), (name, low, high, _) in zip(fields, found, _FIELDS, strict=True):
        if not numbers and not (one_day_will_do and name.startswith("day")):
            raise ValueError(f"{value!r} names no {name} ({low} to {high})")
    return times


def _field(value: str, name: str, low: int, high: int, names: dict[str, int]) -> tuple[frozenset[int], bool]:
    """The numbers of one field, and whether a star is among its parts. Empty parts count for nothing: there may be none."""
    numbers: set[int] = set()
    starred = False
    for part in filter(None, value.split(",")):
        try:
            start, end, step, star = _part(part, low, high, names)
        except ValueError:
            sunday = "; Sunday is 0" if "7" in value and high == 6 else ""
            raise ValueError(f"{value!r} is not a {name} ({low} to {high}{sunday})") from None
        numbers.update(range(start, end + 1, step))
        starred = starred or star
    return frozenset(numbers), starred


def _part(part: str, low: int, high: int, names: dict[str, int]) -> tuple[int, int, int, bool]:
    """First, last, step, whether it is a star (one with a step above 1 is none). ``7/2`` is ``7-<high>/2``."""
    of, *steps = part.split("/")
    ends = of.split("-")
    step = _number(steps[0], {}) if steps else 1
    star = ends[0] in ("*", "?")  # whatever follows its hyphen is not looked at
    if star:
        start, end = low, high
    else:
        start, end = _number(ends[0], names), _number(ends[-1], names)
        if len(ends) == 1 and steps:
            end = high
    if len(steps) > 1 or (len(ends) > 2 and not star) or not low <= start <= end <= high or step < 1:
        raise ValueError
    return start, end, step, star and step == 1


def _number(text: str, names: dict[str, int]) -> int:
    named = names.get(text.lower())
    if named is not None:
        return named
    if not re.fullmatch(r"\+?[0-9]{1,9}", text):
        raise ValueError
    return int(text)


def _every(text: str) -> float:
    """Seconds of a Go duration, whole ones, at least one."""
    if not _DURATION.fullmatch(text):
        raise ValueError(f"'@every {text}': {text!r} is no duration; write it like 90m or 1h30m")
    seconds = sum(float(number) * _UNITS_S[unit] for number, unit in re.findall(r"([\d.]+)(h|ms|m|s|us|µs|μs|ns)", text))
    return 1.0 if text.startswith("-") else max(1.0, float(math.floor(seconds + 1e-9)))


# -- when it fires ----------------------------------------------------------------------------------------------------


def firing_times(cron: str, timezone: str, after: float, until: float, *, newest_first: bool = False) -> Iterator[float]:
    """When it fires, as Unix times in s: later than ``after``, at ``until`` at the latest. Raises ValueError for no cron."""
    schedule, zone = parse(cron), ZoneInfo(timezone)
    if not newest_first:
        return _chain(schedule, zone, after, until)
    if isinstance(schedule, float):
        count = math.floor((until - math.floor(after)) / schedule)
        return (math.floor(after) + number * schedule for number in range(count, 0, -1))
    return _backwards(schedule, zone, after, until)


def next_firing(cron: str, timezone: str, after: float) -> float | None:
    """The first time later than ``after``; None where it does not come within 5 years. Raises ValueError for no cron."""
    return next(firing_times(cron, timezone, after, math.inf), None)


def _chain(schedule: Times | float, zone: ZoneInfo, after: float, until: float) -> Iterator[float]:
    """Each from the one before it, as the controller goes on."""

    def times() -> Iterator[float]:
        time: float | None = after
        while time is not None:
            time = math.floor(time) + schedule if isinstance(schedule, float) else _next(schedule, time, zone)
            if time is not None:
                yield time

    return takewhile(lambda time: time <= until, times())


def _backwards(schedule: Times, zone: ZoneInfo, after: float, until: float) -> Iterator[float]:
    """Longer and longer pieces, each from its end. The first of a piece is left to the next: what precedes it decides it."""
    length_s, end = 86400.0, until
    while end > after:
        start = max(after, end - length_s)
        found = list(_chain(schedule, zone, start, end))
        if start > after:
            found = found[1:]
        yield from reversed(found)
        end = found[0] - 1 if found else end
        if start <= after:
            return
        length_s *= 4


def _next(schedule: Times, after: float, zone: ZoneInfo) -> float | None:
    """The first time after it, by the search of robfig/cron's SpecSchedule.Next; None where none comes within 5 years.

    Field by field from the month down: a field that does not hold is counted up, with all below it from their starts, and only
    when it comes round are those above it looked at anew. So an hour that follows a midnight that the clocks skip
    belongs to the day before: that is how the controller has it. Steps of days go by the calendar, of hours and minutes
    by the clock that runs.
    """
    search = _Search(schedule, zone, float(math.floor(after) + 1))
    last_year = search.now.year + _YEARS
    while search.now.year <= last_year:
        if search.month() and search.day() and search.hour() and search.minute():
            return search.time
    return None


class _Search:
    """A time that is counted up. Each field's method says whether it holds now; False: it came round."""

    def __init__(self, schedule: Times, zone: ZoneInfo, time: float) -> None:
        self._schedule, self._zone = schedule, zone
        self._fresh = False  # whether what is below the field that was counted up stands at its start
        self._go(time)

    def _go(self, time: float) -> None:
        self.time, self.now = time, datetime.fromtimestamp(time, self._zone)

    def _start(self, of: str) -> None:
        """The start of the month, day, hour or minute, once."""
        if self._fresh:
            return
        self._fresh = True
        now = self.now
        if of == "minute":
            self._go(self.time - self.time % 60)
        else:
            day, hour = (1 if of == "month" else now.day), (now.hour if of == "hour" else 0)
            self._go(_at(now.year, now.month, day, hour, 0, self._zone))

    def month(self) -> bool:
        while self.now.month not in self._schedule.months:
            self._start("month")
            now = self.now
            self._go(_at(now.year, now.month + 1, now.day, now.hour, now.minute, self._zone))
            if self.now.month == 1:
                return False
        return True

    def day(self) -> bool:
        while not self._schedule.has_day(self.now):
            self._start("day")
            now = self.now
            self._go(_at(now.year, now.month, now.day + 1, now.hour, now.minute, self._zone))
            if self.now.hour:  # the clocks change at midnight
                self._go(self.time + 3600 * ((24 - self.now.hour) if self.now.hour > 12 else -self.now.hour))
            if self.now.day == 1:
                return False
        return True

    def hour(self) -> bool:
        while self.now.hour not in self._schedule.hours:
            self._start("hour")
            self._go(self.time + 3600)
            if self.now.hour == 0:
                return False
        return True

    def minute(self) -> bool:
        while self.now.minute not in self._schedule.minutes:
            self._start("minute")
            self._go(self.time + 60)
            if self.now.minute == 0:
                return False
        if self.now.second == 0:
            return True
        self._fresh = True
        self._go(self.time + 60 - self.now.second)
        return False


def _utc(year: int) -> float:
    return datetime(year, 1, 1, tzinfo=UTC).timestamp()


def _at(year: int, month: int, day: int, hour: int, minute: int, zone: ZoneInfo) -> float:
    """Unix time of what a calendar and a clock there show, by the rule of Go's time.Date.

    Months and days may be past their ends. Of a time that does not exist there, the one that the offset after or before the
    gap gives; of one that comes twice, either.
    """
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    stands = calendar.timegm((year, month, 1, hour, minute, 0)) + (day - 1) * 86400
    return float(stands - _offset(stands - _offset(stands, zone), zone))


def _offset(time: float, zone: ZoneInfo) -> int:
    offset = datetime.fromtimestamp(time, zone).utcoffset() or timedelta()
    return round(offset.total_seconds())
