"""The trend page of a schedule: its metric over all firings, who was champion when, and what every firing came to. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from typing import Any

from tlbatch import nouns
from tlbatch.champions.judged import Own
from tlbatch.output import json_printable
from tlbatch.schedules.trendchart import draw_trend
from tlbatch.schedules.trendpoints import (
    Point,
    Trend,
    Value,
    day,
    in_words,
    shown,
    shown_interval,
    trends_of,
)

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""Nothing may be asked of anyone, whatever the page holds."""
MOST_DRAWN = 400
"""The newest firings that the chart shows; the table has all."""
ORDER = ("first", "promoted", "refused", "same", "beaten", "succeeded", "unchanged", "failed", "cancelled", "skipped", "missed")
WORDS = {"first": "became the first champion"}
KINDS = {"first": "good", "promoted": "good", "failed": "bad", "missed": "bad", "beaten": "bad", "refused": ""}
DOT = '<svg width="14" height="14" aria-hidden="true"><circle class="challenger{}" cx="7" cy="7" r="4.5"/></svg>'
LINE = '<svg width="22" height="14" aria-hidden="true"><path class="champion" d="M0 7H22"/></svg>'
SIGN = '<span aria-hidden="true">{}</span> '
LEGEND = (
    (DOT.format(" won"), "challenger, promoted"),
    (DOT.format(""), "challenger, refused"),
    (LINE, "champion"),
    ('<span class="crowned" aria-hidden="true">1</span> ', "number of a new champion"),
    (SIGN.format("·"), "unchanged"),
    (SIGN.format("✗"), "failed"),
    (SIGN.format("○"), "missed"),
)


def _flattered() -> str:
    which = f"The champion was chosen on these {nouns.items()}, which flatters it here"
    return f"{which}: its own number stands above and in the table."


def trend_page(name: str, firings: Sequence[Mapping[str, Any]], terms: Sequence[Mapping[str, Any]]) -> str:
    """One HTML file that asks nothing of anyone. ``firings`` and ``terms`` are the records' documents, in any order.

    Read of a firing: execution, scheduled, started, ended (Unix s), trigger, state, sentence, decision (or flat: outcome),
    test {version}, metrics {name: {challenger, champion}}, each a number or {value, low, high}. Of a term: serial, run,
    crowned, by, sentence, metrics, test_version. Of both, where there are several, ``tasks``: [{name, metrics, …}].
    """
    trends = trends_of(firings, terms)
    title = f"{name}: trend of {', '.join(trend.title for trend in trends)}"
    css = resources.files("tlbatch.schedules").joinpath("trend.css").read_text(encoding="utf-8")
    main = [*(_chart(trend, number) for number, trend in enumerate(trends)), _firings(trends), _champions(trends)]
    return json_printable(f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<style>{css}</style>
</head>
<body>
<header>
<p class="kind">Trend of a schedule</p>
<h1>{escape(name)}</h1>
<p class="lead">{escape(_stands(trends))}</p>
<p class="note">{escape(_fired(trends[0].points))}</p>
</header>
<main>
{"".join(main)}</main>
<footer><p>Made by tlbatch. Times are UTC.</p></footer>
</body>
</html>
""")


def _stands(trends: Sequence[Trend]) -> str:
    terms = trends[0].terms
    if not terms:
        return "There is no champion yet."
    now = terms[-1]
    values = [words for trend in trends if (words := _own_words(trend))]
    value = f" It has {'; '.join(values)}." if values else ""
    asked = f" Its test {nouns.items()} were asked {_asked(now.asked)} when it was crowned." if now.asked else ""
    return f"The champion is number {now.serial}, {now.run}: since {day(now.when)}, {now.by}.{value}{asked}"


def _own_words(trend: Trend) -> str:
    """The champion's own number, as it was told last; '' where there is none."""
    now = trend.terms[-1]
    judged = [point.own for point in trend.points if point.own and point.standing == now.serial]
    own = judged[-1] if judged else now.own
    return f"{trend.task_words}{trend.metric_words} {in_words(trend.metric, _value(own))} {own.where}".rstrip() if own else ""


def _value(own: Own) -> Value:
    return Value(own.value, own.low, own.high)


def _fired(points: Sequence[Point]) -> str:
    """'Fired 12 times: 2 promoted, 1 refused, 9 unchanged.'"""
    if not points:
        return "It has not fired yet."
    counts = Counter(point.what for point in points)
    listed = sorted(counts, key=lambda what: (ORDER.index(what) if what in ORDER else len(ORDER), what))
    times = "once" if len(points) == 1 else f"{len(points):,} times"
    return f"Due {times}: {', '.join(f'{counts[what]:,} {WORDS.get(what, what)}' for what in listed)}."


def _chart(trend: Trend, number: int) -> str:
    """``number``: its place among those of several tasks."""
    points, terms, metric = trend.points, trend.terms, trend.metric
    drawn = points[-MOST_DRAWN:]
    if not any(point.challenger or point.champion for point in drawn):
        return ""
    newest = next(point for point in reversed(drawn) if point.challenger or point.champion)
    alt = f"{trend.title} over {len(drawn)} firings, {len(terms)} champions; the table below has every number."
    alt += "".join(
        f" The newest {who} has {in_words(metric, value)}."
        for who, value in (("challenger", newest.challenger), ("champion", newest.champion))
        if value
    )
    after = [term for term in terms if term.when >= drawn[0].when] if len(points) > len(drawn) else terms
    cut = f"<p class='note'>The newest {MOST_DRAWN} firings.</p>" if len(points) > len(drawn) else ""
    region = '<div class="scroll newest" role="region" tabindex="0" aria-label="Chart of the trend">'
    ident = f"trend-{number}" if number else "trend"
    title = trend.title if trend.task else trend.title.capitalize()
    heading = f'<h2 id="{ident}">{escape(title)} on the pinned test {nouns.items()}</h2>'
    figure = f"<figure>{draw_trend(drawn, after, metric, alt)}</figure>"
    legend = "".join(f"<li>{sign}{text}</li>" for sign, text in LEGEND)
    above = f'{heading}\n<p class="note">{_flattered()}</p>\n<ul class="legend">{legend}</ul>'
    return f'<section aria-labelledby="{ident}">\n{above}\n{region}{figure}</div>\n{cut}</section>\n'


def _firings(trends: Sequence[Trend]) -> str:
    points = trends[0].points
    if not points:
        return ""
    columns = ("when (UTC)", "outcome", "champion", "test: new", "test: old", "test set", "asked", "what was said")
    rows = [
        _row(
            [
                f'<th scope="row">{day(point.when)}<small class="hidden">, {escape(point.execution)}</small></th>',
                f'<td class="what {KINDS.get(point.what, "quiet")}">{escape(point.what)}</td>',
                _numbers(trends, [_own(trend.metric, of_it) for trend, of_it in zip(trends, each, strict=True)]),
                _numbers(trends, [_shown(trend.metric, of_it.challenger) for trend, of_it in zip(trends, each, strict=True)]),
                _numbers(trends, [_shown(trend.metric, of_it.champion) for trend, of_it in zip(trends, each, strict=True)]),
                f'<td class="n">{point.version or "–"}</td>',
                f'<td class="n">{_asked(point.asked)}</td>',
                f'<td class="said">{escape(point.sentence)}{_which(point)}</td>',
            ]
        )
        for point, *each in reversed(list(zip(points, *(trend.points for trend in trends), strict=True)))
    ]
    return _section("firings", "Firings, the newest first", columns, rows)


def _champions(trends: Sequence[Trend]) -> str:
    terms = trends[0].terms
    if not terms:
        return ""
    there = "scores there" if trends[0].task else f"{trends[0].metric_words} there"
    columns = ("champion", "since (UTC)", "run", there, "test set", "asked", "by", "why")
    rows = [
        _row(
            [
                f'<th scope="row">{term.serial}</th>',
                f"<td>{day(term.when)}</td>",
                f"<td>{escape(term.run)}</td>",
                _numbers(trends, [_shown(trend.metric, of_it.value) for trend, of_it in zip(trends, each, strict=True)]),
                f'<td class="n">{term.version or "–"}</td>',
                f'<td class="n">{_asked(term.asked)}</td>',
                f"<td>{escape(term.by)}</td>",
                f'<td class="said">{escape(term.sentence)}</td>',
            ]
        )
        for term, *each in reversed(list(zip(terms, *(trend.terms for trend in trends), strict=True)))
    ]
    return _section("champions", "Champions, the present one first", columns, rows)


def _section(ident: str, title: str, columns: Sequence[str], rows: Sequence[str]) -> str:
    numbers = ("champion", "test: new", "test: old", "test set", "asked")
    heads = "".join(
        f'<th scope="col"{" class=n" if c in numbers and ident == "firings" else ""}>{escape(c)}</th>' for c in columns
    )
    region = f'<div class="scroll" role="region" tabindex="0" aria-labelledby="{ident}">'
    table = f"<table><thead><tr>{heads}</tr></thead>\n<tbody>\n{''.join(rows)}</tbody></table>"
    return f'<section>\n<h2 id="{ident}">{title}</h2>\n{region}{table}</div>\n</section>\n'


def _row(cells: Sequence[str]) -> str:
    return f"<tr>{''.join(cells)}</tr>\n"


def _which(point: Point) -> str:
    hand = ", by hand" if point.trigger == "hand" else ""
    return f"<small><code>{escape(point.execution)}</code>{hand}</small>" if point.execution else ""


def _asked(times: int | None) -> str:
    return "–" if times is None else "once" if times == 1 else f"{times:,} times" if times else "never"


def _numbers(trends: Sequence[Trend], each: Sequence[str]) -> str:
    """A cell of one number; of several tasks of theirs, a line each that begins with its name. One without any is a dash."""
    if trends[0].task is None or not any(each):
        return f'<td class="n">{each[0] or "–"}</td>'
    named = [
        f"<div><small>{escape(trend.task or '')}</small> {text or '–'}</div>" for trend, text in zip(trends, each, strict=True)
    ]
    return f'<td class="n">{"".join(named)}</td>'


def _own(metric: str, point: Point) -> str:
    """The own number of the champion after it, and what it rests on."""
    if point.own is None:
        return ""
    return f'<span title="{escape(point.own.where)}">{shown(metric, point.own.value)}</span>'


def _shown(metric: str, value: Value | None) -> str:
    if value is None:
        return ""
    interval = shown_interval(metric, value)
    return f"{shown(metric, value.value)}{f'<small>{interval}</small>' if interval else ''}"
