"""The trend page: every firing and champion is on it, whatever the records lack, and it asks nothing of anyone."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from tlbatch.schedules.trend import MOST_DRAWN, trend_page
from tlbatch.schedules.trendchart import _scale

DAY, START = 86400.0, 1_795_500_000.0


def estimate(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.03, "high": value + 0.02}


def firing(
    day: int, state: str = "succeeded", outcome: str = "", challenger: float = 0.0, champion: float = 0.0
) -> dict[str, Any]:
    """As ``tlbatch.schedules.firings`` records it."""
    metrics = {"challenger": estimate(challenger), "champion": estimate(champion) if champion else None}
    return {
        "execution": f"pets-{day:04}" if state != "missed" else "",
        "trigger": "cron",
        "scheduled": START + day * DAY,
        "started": START + day * DAY + 2,
        "ended": START + day * DAY + 90,
        "state": state,
        "sentence": f"What happened on day {day}.",
        "outcome": outcome,
        "metrics": {"accuracy": metrics} if challenger else {},
        "test": {"version": 1, "count": day} if challenger else {},
    }


def term(serial: int, by: str, day: float, value: float) -> dict[str, Any]:
    return {
        "serial": serial,
        "run": "features",
        "seed": 0,
        "crowned": START + day * DAY + 90,
        "by": by,
        "sentence": f"Why {serial} <terms>.",
        "metrics": {"accuracy": estimate(value)},
        "test_version": 1,
    }


FIRINGS = [
    firing(0, outcome="first", challenger=0.8),
    firing(1, "unchanged"),
    firing(2, outcome="refused", challenger=0.78, champion=0.8),
    firing(3, "failed"),
    firing(4, "missed"),
    firing(5, outcome="promoted", challenger=0.85, champion=0.8),
]
REIGNS = [
    term(1, "execution pets-0000", 0, 0.8),
    term(2, "execution pets-0005", 5, 0.85),
    term(3, "rolled back by anna", 5.5, 0.8),
]


class Page(HTMLParser):
    """Tags of a page with their attributes; unclosed tags are a failure."""

    VOID = frozenset({"meta", "link", "br", "line", "circle", "path"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def count(self, tag: str, css: str = "") -> int:
        return sum(name == tag and css in (attrs.get("class") or "").split() for name, attrs in self.tags if css or name == tag)


def test_every_firing_and_champion_is_there() -> None:
    text = trend_page("pets", FIRINGS, REIGNS)
    page = Page(text)
    rows = re.findall(r"<tr><th scope=\"row\">(.*?)</tr>", text, re.DOTALL)
    assert len(rows) == len(FIRINGS) + len(REIGNS)
    assert [re.search(r'class="what [^"]*">(\w+)<', row).group(1) for row in rows[:6]] == [  # type: ignore[union-attr]
        *("promoted", "missed", "failed", "refused", "unchanged", "first")
    ]
    assert "85.0 %<small>82.0 – 87.0</small>" in rows[0]
    assert "Due 6 times: 1 became the first champion, 1 promoted, 1 refused, 1 unchanged, 1 failed, 1 missed." in text
    assert "It has accuracy 80.0 % (77.0 – 82.0)." in text
    assert page.count("circle", "challenger") == 3 + 2  # and two in the legend
    assert page.count("circle", "won") == 2 + 1
    assert page.count("line", "crown") == 3
    assert [text.count(f">{mark}</text>") for mark in "·✗○"] == [1, 1, 1]


def test_the_order_of_the_records_does_not_matter() -> None:
    assert trend_page("pets", FIRINGS[::-1], REIGNS[::-1]) == trend_page("pets", FIRINGS, REIGNS)


def test_it_asks_nothing_and_escapes_what_it_is_given() -> None:
    text = trend_page("<pets>", [{**FIRINGS[0], "sentence": "<script>alert(1)</script>"}], REIGNS)
    page = Page(text)
    assert not page.count("script")
    assert "<pets>" not in text
    assert "Why 1 &lt;terms&gt;." in text
    for _, attrs in page.tags:
        for name in ("src", "href"):
            assert (attrs.get(name) or "#").startswith(("#", "data:"))


def test_where_the_test_set_changes_the_champions_line_breaks() -> None:
    def path(version: int) -> Any:
        later = {**firing(6, outcome="refused", challenger=0.9, champion=0.91), "test": {"version": version}}
        text = trend_page("pets", [*FIRINGS, later], REIGNS)
        assert ("test set 2" in text) == (version == 2)
        return re.findall(r'<path class="champion" d="([^"]*)"', text)[-1]  # the first is the legend's

    assert path(1).count("M") == 1
    assert path(2).count("M") == 2


@pytest.mark.parametrize("firings", [[], [firing(0, "unchanged")], [{"execution": "x"}], [{"metrics": "?", "started": None}]])
def test_records_that_lack_almost_everything(firings: list[dict[str, Any]]) -> None:
    text = trend_page("pets", firings, [])
    Page(text)
    assert "There is no champion yet." in text
    assert '<path class="champion" d="M5' not in text


def test_a_long_history_is_drawn_in_part_and_listed_whole() -> None:
    history = [firing(day, outcome="refused", challenger=0.7, champion=0.8) for day in range(MOST_DRAWN + 50)]
    text = trend_page("pets", history, REIGNS[:1])
    assert Page(text).count("circle", "challenger") == MOST_DRAWN + 2
    assert text.count('<td class="what') == MOST_DRAWN + 50
    assert len(text) < 1_000_000


@pytest.mark.parametrize(
    ("values", "metric"),
    [([0.8, 0.9], "accuracy"), ([0.999, 1.0], "accuracy"), ([0.5], "log_loss"), ([0.0, 3.7], "log_loss"), ([], "x")],
)
def test_the_axis_holds_all_values_in_few_round_steps(values: list[float], metric: str) -> None:
    low, high, step = _scale(values, metric)
    assert all(low - 1e-9 <= value <= high + 1e-9 for value in values)
    assert 1 <= round((high - low) / step) <= 8
    assert (high - low) / step == pytest.approx(round((high - low) / step), abs=1e-6) or metric == "accuracy"
