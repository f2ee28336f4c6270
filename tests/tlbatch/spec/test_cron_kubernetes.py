"""Cron expressions as Kubernetes's own library has them: which it takes, and when they fire, clock changes included.

``robfig/main.go`` is that library behind a line protocol; ``robfig/recorded.json`` is what it answered (made anew by
``python -m tests.tlbatch.spec.test_cron_kubernetes``). Where Go is there, expressions that hypothesis makes are compared, too.

Mutation tried: looking at the day anew after each counted hour (as a clean search would) differs for Sao Paulo, Santiago and
Havana, whose clocks change at midnight; cronsim, which was asked before, fires at 03:30 for an hour that spring skips.
"""

from __future__ import annotations

import json
import random
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.requirements import missing
from tlbatch.schedules.firings import missed
from tlbatch.schedules.schedule import Period, StoredSchedule
from tlbatch.spec.cron import cron_mistake, firing_times, parse

FOLDER = Path(__file__).parent / "robfig"
RECORDED = FOLDER / "recorded.json"
FIRINGS = 4
REFUSED, ENDLESS = "-", "endless"
ANSWER_S = 10.0  #: for an answer that takes it milliseconds
SKIPPED_A_DAY = "Pacific/Apia"
"""30 December 2011: a search that gets there goes round for ever in the library. No clock will show that day again."""
#: 30 minutes of summer time, the south, a day that was skipped, summer time but for Ramadan, half hours, changes at midnight
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Auckland",
    "Pacific/Apia",
    "Africa/Casablanca",
    "America/St_Johns",
    "Asia/Kathmandu",
    "America/Sao_Paulo",
    "America/Havana",
    "America/Santiago",
    "Asia/Beirut",
]
FIRST, LAST = 1_293_840_000, 1_767_225_600  # 2011 to 2025: the past, which no release of the time zone database changes
WHOLE = ["@daily", "@hourly", "@weekly", "@midnight", "@every 1h", "@every 1h30m10s", "@every 1.5h", "@every .1s", "@every -3h"]
WHOLE += [
    "@every",
    "@every 1d",
    "@Daily",
    "@daily ",
    " @daily",
    "TZ=UTC 0 3 * * *",
    "CRON_TZ=UTC 0 3 * * *",
    "@reboot",
    "",
    "* *",
]
WHOLE += ["0 3 * * 7", "0 3 L * *", "0 3 * * 1#2", "0 3 * * 5L", "0 3 15W * *", "0 0 3 * * *", "0  3\t* * *", "0 3 * * *\x1c*"]


def here(expression: str, zone: str, after: int) -> str:
    """What tlbatch says in the form of the program's answers. ``0``: nothing more comes."""
    try:
        parse(expression)
    except ValueError as error:
        return "" if " names no " in str(error) else REFUSED  # taken there, and never fires
    return " ".join(str(int(time)) for time in islice(firing_times(expression, zone, after, float("inf")), FIRINGS))


def there(answer: str) -> str:
    return answer.strip().removesuffix("0").strip() if answer.strip().split()[-1:] == ["0"] else answer.strip()


Ask = Callable[[str, str, int], str]


@pytest.fixture(scope="module")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """The library itself."""
    yield from _ask(tmp_path_factory.mktemp("robfig") / "robfig")


def _ask(program: Path) -> Iterator[Ask]:
    if shutil.which("go") is None:
        missing("go", "no Go here, so only recorded answers are compared: install Go (go.dev) for new ones")
    built = subprocess.run(["go", "build", "-o", program, "."], cwd=FOLDER, capture_output=True, text=True, check=False)
    if built.returncode:
        missing("go", f"robfig/cron cannot be had; let Go reach a module proxy (GOPROXY): {built.stderr.strip()[-200:]}")
    library = _Library(program)
    yield library.ask
    library.end()


class _Library:
    """The program, started anew where it does not come back: some expressions have it search without end."""

    def __init__(self, program: Path) -> None:
        self._program = program
        self._process = self._start()

    def ask(self, expression: str, zone: str, after: int) -> str:
        given, answers = self._process.stdin, self._process.stdout
        assert given is not None
        assert answers is not None
        given.write(f"{json.dumps(expression)}\t{zone}\t{after}\n")
        given.flush()
        if not select.select([answers], [], [], ANSWER_S)[0]:
            self.end()
            self._process = self._start()
            return ENDLESS
        return answers.readline().strip()

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen([self._program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_recorded_answers() -> None:
    recorded = json.loads(RECORDED.read_text())
    differing = [(case, here(*case[:3])) for case in recorded if here(*case[:3]) != there(case[3])]
    assert len(recorded) >= 2000
    assert differing == []


def _field(low: int, high: int, names: tuple[str, ...] = ()) -> st.SearchStrategy[str]:
    number = st.one_of(
        st.integers(low, high).map(str), st.sampled_from([*names, str(low), "+1", "007", str(high + 1), "-1", ""])
    )
    ends = st.one_of(st.sampled_from(["*", "?", "*-5"]), number, st.tuples(number, number).map("-".join))
    part = st.one_of(ends, st.tuples(ends, st.sampled_from(["1", "2", "5", "7", "0", "99", ""])).map("/".join))
    return st.one_of(st.just("*"), part, st.lists(part, min_size=1, max_size=3).map(",".join))


EXPRESSIONS = st.one_of(
    st.tuples(
        _field(0, 59), _field(0, 23), _field(1, 31), _field(1, 12, ("jan", "FEB")), _field(0, 6, ("sun", "Mon", "sat"))
    ).map(" ".join),
    st.sampled_from(WHOLE),
    st.text(st.sampled_from("0123456789*/-,?@ LW#msuh."), max_size=16),
)


@pytest.mark.parametrize(
    "expression",
    ["* * , * 0", "0 3 , * 1", "0 3 5 * ,", "0 3 , * *", "0 3 * * ,", "0 3 , * ,", ", 3 * * *", "0 , 5 * 1", "0 3 5 , 1"],
)
def test_a_field_that_names_nothing(kubernetes: Ask, expression: str) -> None:
    """Of the two days one will do, unless the other is a star."""
    assert here(expression, "UTC", FIRST) == there(kubernetes(expression, "UTC", FIRST))


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(EXPRESSIONS, st.sampled_from(ZONES), st.integers(FIRST, LAST))
def test_any_expression(kubernetes: Ask, expression: str, zone: str, after: int) -> None:
    answer = kubernetes(expression, zone, after)
    if answer == ENDLESS:
        assert zone == SKIPPED_A_DAY, f"Kubernetes' library does not come back from {expression!r} {zone} {after}"
    assume(answer != ENDLESS)
    assert here(expression, zone, after) == there(answer)


@pytest.mark.slow
def test_thousands_about_clock_changes(kubernetes: Ask) -> None:
    draw = random.Random(11)
    for _ in range(2500):
        case = _case(draw)
        assert here(*case) == there(kubernetes(*case)), case


def test_newest_first_is_the_same_the_other_way_round() -> None:
    draw = random.Random(5)
    for _ in range(60):
        expression, zone, after = _case(draw)
        if here(expression, zone, after) not in ("", REFUSED):
            until = after + draw.choice([3, 40]) * 86400
            forward = list(islice(firing_times(expression, zone, after, until), 3000))
            if len(forward) < 3000:
                assert list(firing_times(expression, zone, after, until, newest_first=True)) == forward[::-1], expression


def test_a_night_without_that_hour_is_no_missed_firing() -> None:
    def at(text: str) -> float:
        return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin")).timestamp()

    def found(cron: str) -> list[float]:
        period = Period(at("2026-03-20T12:00"), cron, "Europe/Berlin")
        stored = StoredSchedule("pets", "", period.since, period.since, periods=(period,))
        return [record.started for record in missed(stored, [], None, at("2026-04-02T12:00"))]

    assert found("30 2 29 3 *") == []
    assert found("30 3 29 3 *") == [at("2026-03-29T03:30")]
    assert found("30 2 28-30 3 *") == [at("2026-03-30T02:30"), at("2026-03-28T02:30")]


def test_what_kubernetes_refuses_is_a_sentence() -> None:
    assert "schedule.timezone" in (cron_mistake("TZ=UTC 0 3 * * *") or "")
    assert "@daily" in (cron_mistake("@Daily") or "")
    assert "Sunday is 0" in (cron_mistake("0 3 * * 7") or "")
    assert cron_mistake("@every 12h") is None
    assert "duration" in (cron_mistake("@every 1d") or "")


def _case(draw: random.Random) -> tuple[str, str, int]:
    """An expression of nights, near a change of the clocks."""
    minute, hour = draw.choice(["0", "15", "30", "59", "*/20"]), draw.choice(["0", "1", "2", "3", "23", "0-3", "*", "1,2"])
    day, month = draw.choice(["*", "*", "1", "28-30", "31", "*/2"]), draw.choice(["*", "3", "4", "9", "10", "11"])
    weekday, zone, after = draw.choice(["*", "*", "sun", "6"]), draw.choice(ZONES), draw.randint(FIRST, LAST)
    for _ in range(400):
        now, then = (datetime.fromtimestamp(after + wait, ZoneInfo(zone)).utcoffset() for wait in (0, 86400))
        if now != then:
            break
        after = FIRST + (after + 86400 - FIRST) % (LAST - FIRST)
    return f"{minute} {hour} {day} {month} {weekday}", zone, after + draw.randint(-90_000, 90_000)


def record(program: Path) -> None:
    """Write RECORDED anew."""
    draw = random.Random(int(time.time()))
    for ask in _ask(program):
        cases = [_case(draw) for _ in range(2000)] + [(expression, "Europe/Berlin", FIRST) for expression in WHOLE]
        lines = [json.dumps([*case, ask(*case)]) for case in cases]
        RECORDED.write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    record(Path("/tmp") / "robfig")
