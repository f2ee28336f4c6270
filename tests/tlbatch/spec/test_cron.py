"""When a cron expression fires, in its time zone."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from tlbatch.spec.cron import cron_mistake, firing_times, next_firing


def times(cron: str, timezone: str, after: str, until: str) -> list[str]:
    zone = ZoneInfo(timezone)
    ends = [datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() for text in (after, until)]
    return [datetime.fromtimestamp(time, zone).strftime("%a %d %H:%M") for time in firing_times(cron, timezone, *ends)]


@pytest.mark.parametrize(
    ("cron", "found"),
    [
        ("0 3 * * *", ["Mon 02 03:00", "Tue 03 03:00", "Wed 04 03:00"]),
        ("@daily", ["Mon 02 00:00", "Tue 03 00:00", "Wed 04 00:00"]),
        ("0 3 ? * mon-tue", ["Mon 02 03:00", "Tue 03 03:00"]),
        ("0 3 4 * mon", ["Mon 02 03:00", "Wed 04 03:00"]),  # either of the two: neither is a star
        ("0 3 */2 * mon", ["Mon 02 03:00", "Tue 03 03:00"]),  # a stepped star is not a star either: days 1, 3, …
        ("0 3 * * 1/2", ["Mon 02 03:00", "Wed 04 03:00"]),  # to Saturday: 7 would be Sunday
    ],
)
def test_firing_times(cron: str, found: list[str]) -> None:
    assert times(cron, "Asia/Shanghai", "2026-11-01T12:00", "2026-11-04T12:00") == found


def test_ends_belong_as_said() -> None:
    assert times("0 3 * * *", "Etc/UTC", "2026-11-02T03:00", "2026-11-03T03:00") == ["Tue 03 03:00"]


def test_a_night_in_its_own_time_zone() -> None:
    assert list(firing_times("0 3 * * *", "Asia/Shanghai", 0, 86400)) == [19 * 3600.0]  # 03:00 there is 19:00 UTC
    summer, winter = (next_firing("0 3 * * *", "Europe/Berlin", day * 86400.0) for day in (20_635, 20_758))
    assert (summer or 0) % 86400 == 3600 * 1
    assert (winter or 0) % 86400 == 3600 * 2


@pytest.mark.parametrize("cron", ["0 0 31 2 *", "0 0 30 feb *", "0 0 31 4,6,9,11 *"])
def test_days_that_never_come(cron: str) -> None:
    assert "never comes" in (cron_mistake(cron) or "")
    assert cron_mistake(cron.replace("*", "mon")) is None  # a weekday of that month does


def test_the_twenty_ninth_of_february_comes() -> None:
    assert cron_mistake("0 0 29 2 *") is None


@pytest.mark.parametrize(
    ("cron", "named"),
    [
        ("0 3 , * *", "day of the month"),
        ("0 3 * * ,", "day of the week"),
        ("0 3 , * ,", "day of the month"),
        ("0 , 1 * *", "hour"),
        (", 3 1 , 2", "minute"),
    ],
)
def test_a_field_that_names_nothing_is_named(cron: str, named: str) -> None:
    assert (cron_mistake(cron) or "").startswith(f"',' names no {named} (")


def test_one_of_two_days_may_name_nothing() -> None:
    assert cron_mistake("0 3 , * 1") is None
    assert cron_mistake("0 3 5 * ,") is None
