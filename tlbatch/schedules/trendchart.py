"""The trend of a schedule as SVG: a column a firing, the challenger's dot with its interval, the champion's line. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import pairwise

from tlbatch.schedules.trendpoints import CROWNED, SHARES, Point, Term, day, in_words

COLUMN, NARROWEST, HEIGHT = 26, 480, 250
LEFT, RIGHT, TOP, STRIP, BOTTOM = 58, 58, 34, 28, 30
NUMBER, DATE = 20, 72  #: px that a champion's number and a date take
MARKS = {"unchanged": "·", "same": "=", "failed": "✗", "missed": "○", "skipped": "–", "cancelled": "–", "beaten": "✗"}


def draw_trend(points: Sequence[Point], terms: Sequence[Term], metric: str, alt: str) -> str:
    """The chart as inline SVG; ``alt`` says what it shows. Columns are as far apart as on every schedule's page."""
    frame = _Frame(points, metric)
    parts = [
        *frame.grid(),
        *frame.dates(),
        *frame.versions(),
        *frame.crowns(terms),
        *frame.champion_line(),
        *frame.challengers(),
        *frame.strip(),
    ]
    size = f'width="{frame.width:.0f}" height="{HEIGHT + STRIP + BOTTOM}"'
    box = f'viewBox="0 0 {frame.width:.0f} {HEIGHT + STRIP + BOTTOM}"'
    return f'<svg role="img" aria-label="{escape(alt)}" {size} {box}>{"".join(parts)}</svg>'


class _Frame:
    """Where things are: x by column, y by value."""

    def __init__(self, points: Sequence[Point], metric: str) -> None:
        self.points, self.metric = points, metric
        self.width = max(NARROWEST, LEFT + RIGHT + COLUMN * len(points))
        self.column = (self.width - LEFT - RIGHT) / max(1, len(points))
        self.low, self.high, self.step = _scale([value for point in points for value in _reach(point)], metric)

    def x(self, place: float) -> float:
        return round(LEFT + self.column * (place + 0.5), 1)

    def y(self, value: float) -> float:
        return round(TOP + (HEIGHT - TOP) * (self.high - value) / (self.high - self.low), 1)

    def grid(self) -> Iterator[str]:
        percent = self.metric in SHARES
        for number in range(round((self.high - self.low) / self.step) + 1):
            value = self.low + number * self.step
            y, scaled = self.y(value), 100 * self.step if percent else self.step
            digits = max(0, math.ceil(-math.log10(scaled) - 1e-9))
            text = f"{100 * value:.{digits}f} %" if percent else f"{value:.{digits}f}"
            yield f'<line class="grid" x1="{LEFT}" x2="{self.width - RIGHT:.0f}" y1="{y}" y2="{y}"/>'
            yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'
            yield f'<text x="{self.width - RIGHT + 8:.0f}" y="{y + 4:.1f}">{text}</text>'

    def dates(self) -> Iterator[str]:
        """The day under the first column and wherever there is room for the next one."""
        free, last = 0.0, ""
        for place, point in enumerate(self.points):
            date, start = day(point.when)[:10], min(max(self.x(place) - DATE / 2, LEFT), self.width - DATE)
            if date != last and start >= free:
                yield f'<text x="{start:.1f}" y="{HEIGHT + STRIP + 22}">{date}</text>'
                free, last = start + DATE + 16, date

    def versions(self) -> Iterator[str]:
        """A line where the test set is a new version: on its two sides numbers are of different images."""
        known = [(place, point.version) for place, point in enumerate(self.points) if point.version is not None]
        for (_, before), (place, version) in pairwise(known):
            if version != before:
                x = self.x(place - 0.5)
                yield f'<line class="version" x1="{x}" x2="{x}" y1="{TOP}" y2="{HEIGHT + STRIP}"/>'
                yield f'<text x="{x + 4}" y="{HEIGHT - 5}">test set {version}</text>'

    def crowns(self, terms: Sequence[Term]) -> Iterator[str]:
        """A line with the champion's number where one was crowned: at its firing, or between firings where by hand."""
        places = {point.execution: place for place, point in enumerate(self.points)}
        row, last = 0, -1e9
        for term in sorted(terms, key=lambda term: (self._place(term, places), term.serial)):
            x = self.x(self._place(term, places))
            row = 1 - row if x - last < NUMBER else 0  # numbers that would touch take turns in two rows
            last, y = x, TOP - 8 - 12 * row
            title = f"champion {term.serial}: {term.run}, {term.by}, {day(term.when)}"
            yield f'<g><title>{escape(title)}</title><line class="crown" x1="{x}" x2="{x}" y1="{y + 3}" y2="{HEIGHT}"/>'
            yield f'<text class="crowned" x="{x}" y="{y}" text-anchor="middle">{term.serial}</text></g>'

    def _place(self, term: Term, places: Mapping[str, int]) -> float:
        firing = places.get(term.by.removeprefix("execution ")) if not term.by_hand else None
        return sum(point.when <= term.when for point in self.points) - 0.5 if firing is None else firing

    def champion_line(self) -> Iterator[str]:
        """Steps from firing to firing, broken where the test set changed."""
        path, version, level = "", None, None
        for place, point in enumerate(self.points):
            after = point.challenger if point.what in CROWNED else point.champion
            if after is None:
                continue
            if point.version != version:
                path += f"H{self.x(place - 0.5)}" if level is not None else ""
                level = None
            version, x = point.version, self.x(place)
            values = [value for value in (point.champion, after) if value is not None]
            path += f"M{x} {self.y(values[0].value)}" if level is None else f"H{x}"
            path += "".join(f"V{self.y(value.value)}" for value in values)
            level = after
        if path and level is not None:
            yield f'<path class="champion" d="{path}H{self.width - RIGHT:.0f}"/>'

    def challengers(self) -> Iterator[str]:
        for place, point in enumerate(self.points):
            if point.challenger is None:
                continue
            x, found = self.x(place), point.challenger
            title = f"{day(point.when)}: challenger {in_words(self.metric, found)}, {point.what}"
            yield f"<g><title>{escape(title)}</title>"
            if found.low is not None and found.high is not None:
                yield f'<line class="interval" x1="{x}" x2="{x}" y1="{self.y(found.low)}" y2="{self.y(found.high)}"/>'
            won = " won" if point.what in CROWNED else ""
            yield f'<circle class="challenger{won}" cx="{x}" cy="{self.y(found.value)}" r="4.5"/></g>'

    def strip(self) -> Iterator[str]:
        """Below the axis: firings that brought no challenger."""
        for place, point in enumerate(self.points):
            mark = MARKS.get(point.what) if point.challenger is None or point.what == "beaten" else None
            if mark:
                kind = "failed" if mark == "✗" else "other"
                title = f"{day(point.when)}: {point.what}. {point.sentence}"
                at = f'x="{self.x(place)}" y="{HEIGHT + STRIP - 4}" text-anchor="middle"'
                yield f'<text class="mark {kind}" {at}><title>{escape(title)}</title>{mark}</text>'


def _reach(point: Point) -> list[float]:
    values = [value for value in (point.challenger, point.champion) if value is not None]
    return [bound for value in values for bound in (value.value, value.low, value.high) if bound is not None]


def _scale(values: list[float], metric: str) -> tuple[float, float, float]:
    """Lowest, highest and step of an axis with three to six round steps that holds all values."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if high - low < 0.01:
        low, high = low - 0.01, high + 0.01
    rough = (high - low) / 5
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    bottom, top = math.floor(low / step) * step, math.ceil(high / step) * step
    return (max(0.0, bottom), min(1.0, top), step) if metric in SHARES else (bottom, top, step)
