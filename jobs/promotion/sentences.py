"""A decision in a sentence that a person can act on, the numbers in it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobs.metrics.registry import metrics
from jobs.promotion.candidates import Candidate
from jobs.promotion.paired import ClassTest, Estimate
from jobs.promotion.rule import BETTER, Rule
from jobs.promotion.verdict import BOUND, GAIN, HARMED, PROMOTED, WORSE, Verdict
from jobs.reporting.words import interval_points, listing, number, p_value, percent, plural, points, signed_points

NAMED = 3  #: classes told of, at most


def first_sentence(
    challenger: Candidate, metric: str, value: dict[str, Any], test: str, candidates: Sequence[Candidate]
) -> str:
    best = f", the best of {plural(len(candidates), 'model')} on validation" if len(candidates) > 1 else ""
    return f"The first champion is {challenger.label}{best}: {_measured(metric, value)} on {test}."


def same_sentence(challenger: Candidate, metric: str, value: dict[str, Any], test: str) -> str:
    return f"Nothing new to judge: {challenger.label} is the champion itself, with {_measured(metric, value)} on {test}."


def verdict_sentence(
    verdict: Verdict, rule: Rule, k: int, estimate: Estimate, challenger: str, champion: str, test: str
) -> str:
    """The verdict, what it is about, and what it rests on."""
    compared = _compared(estimate, challenger, champion, test)
    used = f"This was test {k} on this test set, at level {_level(rule.level(k))}"
    if verdict.outcome == PROMOTED:
        shown = f", which is shown ({p_value(estimate.p)})" if rule.promote == BETTER else ""
        return f"Promoted: {compared}{shown}, and no class is shown to be harmed. {used}."
    if verdict.why == WORSE:
        return f"Refused as worse: {compared}. {used}."
    if verdict.why == HARMED:
        return f"Refused for a class that is harmed: {_classes(verdict.harmed, with_p=True)}; over all, {compared}. {used}."
    if verdict.why == BOUND:
        bounds = _classes(verdict.beyond, bounds=rule)
        return f"Refused for a class beyond its bound: {bounds}; over all, {compared}. {used}."
    if verdict.why == GAIN:
        asked = f"at least {_amount(rule.promote_on, rule.min_gain)}" if rule.min_gain else "a gain"
        return f"Refused, {asked} is asked for: {compared}. {used}."
    return f"Refused, the gain is not shown: {compared}, {p_value(estimate.p)}. {used}: p must be below it."


def _compared(estimate: Estimate, challenger: str, champion: str, test: str) -> str:
    title = metrics()[estimate.metric].title
    values = [_value(estimate.metric, value) for value in (estimate.challenger, estimate.champion)]
    more = "as much" if estimate.difference == 0 else f"{_amount(estimate.metric, abs(estimate.difference))} "
    more += "" if estimate.difference == 0 else "more" if estimate.difference > 0 else "less"
    gained = f"right on {plural(estimate.gained, 'image')} that the champion gets wrong"
    only = f"{gained}, wrong on {estimate.lost:,} that it gets right"
    interval = f"95 % interval {_interval(estimate)}; {only}"
    return f"{challenger} has {title} {values[0]} on {test}, the champion {champion} {values[1]}: {more} ({interval})"


def _classes(rows: Sequence[ClassTest], *, with_p: bool = False, bounds: Rule | None = None) -> str:
    said = []
    for row in rows[:NAMED]:
        text = f"{row.name} falls from {percent(row.champion)} to {percent(row.challenger)} of its {plural(row.n, 'image')}"
        details = [f"{row.lost} lost, {row.gained} gained"]
        details += [f"{p_value(row.p_adjusted)} among all classes"] if with_p else []
        bound = bounds.bound(row.name) if bounds else None
        details += [f"{points(bound)} are allowed"] if bound is not None else []
        said.append(f"{text} ({', '.join(details)})")
    return listing(said) + (f", and {len(rows) - NAMED} more" if len(rows) > NAMED else "")


def _measured(metric: str, value: dict[str, Any]) -> str:
    among = "" if value["low"] is None else f" [{_value(metric, value['low'])}, {_value(metric, value['high'])}]"
    return f"{metrics()[metric].title} {_value(metric, value['value'])}{among}"


def _value(metric: str, value: float) -> str:
    return percent(value) if metrics()[metric].higher_is_better else number(value)


def _amount(metric: str, value: float) -> str:
    return points(value) if metrics()[metric].higher_is_better else number(value)


def _interval(estimate: Estimate) -> str:
    if metrics()[estimate.metric].higher_is_better:
        return interval_points(estimate.low, estimate.high) if estimate.low != estimate.high else signed_points(estimate.low)
    return f"{estimate.low:+.3f} to {estimate.high:+.3f}"


def _level(level: float) -> str:
    return f"{level:.2g}"
