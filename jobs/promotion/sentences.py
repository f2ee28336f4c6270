"""A decision in a sentence that a person can act on, the numbers in it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobs.metrics.registry import metrics
from jobs.promotion.candidates import Candidate
from jobs.promotion.paired import ClassTest, Estimate
from jobs.promotion.rule import BETTER, Rule
from jobs.promotion.verdict import BOUND, GAIN, HARMED, PROMOTED, WORSE, Verdict
from jobs.reporting.words import MINUS, interval_points, listing, number, p_value, percent, plural, points, signed_points

NAMED = 3  #: classes told of, at most


def first_sentence(
    challenger: Candidate, metric: str, value: dict[str, Any], test: str, candidates: Sequence[Candidate]
) -> str:
    several = len(candidates) > 1
    best = f", the best of {plural(len(candidates), 'model')} on validation" if several else ""
    if several and challenger.validation is None:
        best = f", the first of {plural(len(candidates), 'model')} (no validation images to choose by)"
    return f"The first champion is {challenger.label}{best}: {_measured(metric, value)} on {test}."


def same_sentence(challenger: Candidate, metric: str, value: dict[str, Any], test: str) -> str:
    return f"Nothing new to judge: {challenger.label} is the champion itself, with {_measured(metric, value)} on {test}."


def verdict_sentence(
    verdict: Verdict, rule: Rule, k: int, estimate: Estimate, challenger: str, champion: str, test: str
) -> str:
    """The verdict, what it is about, and what it rests on."""
    compared = _compared(estimate, challenger, champion, test)
    return (
        f"{_judged(verdict, rule, estimate, compared)}. This was test {k} on these test images, at level {rule.level(k):.2g}."
    )


def _judged(verdict: Verdict, rule: Rule, estimate: Estimate, compared: str) -> str:
    if verdict.outcome == PROMOTED:
        shown = f", which is shown ({p_value(estimate.p)})" if rule.promote == BETTER else ""
        return f"Promoted: {compared}{shown}, and no class is shown to be harmed"
    if verdict.why == WORSE:
        return f"Refused as worse: {compared}"
    if verdict.why == HARMED:
        return f"Refused for a class that is harmed: {_classes(verdict.harmed, with_p=True)}; over all, {compared}"
    if verdict.why == BOUND:
        return f"Refused for a class beyond its bound: {_classes(verdict.beyond, bounds=rule)}; over all, {compared}"
    if verdict.why == GAIN:
        asked = (
            f"too small a gain (min_gain {_amount(rule.promote_on, rule.min_gain)})" if rule.min_gain else "lack of any gain"
        )
        return f"Refused for {asked}: {compared}"
    return f"Refused, the gain is not shown ({p_value(estimate.p)}, which must be below the level): {compared}"


def _compared(estimate: Estimate, challenger: str, champion: str, test: str) -> str:
    title, difference = metrics()[estimate.metric].title, estimate.difference
    values = [_value(estimate.metric, value) for value in (estimate.challenger, estimate.champion)]
    more = f"{_amount(estimate.metric, abs(difference))} {'more' if difference > 0 else 'less'}" if difference else "as much"
    alone = f"only the challenger gets {plural(estimate.gained, 'image')} right, only the champion {estimate.lost:,}"
    details = f"95 % interval {_interval(estimate)}; {alone}"
    return f"{challenger} has {title} {values[0]} on {test}, the champion {champion} {values[1]}: {more} ({details})"


def _classes(rows: Sequence[ClassTest], *, with_p: bool = False, bounds: Rule | None = None) -> str:
    said = []
    for row in rows[:NAMED]:
        text = f"{row.name} falls from {percent(row.champion)} to {percent(row.challenger)} of its {plural(row.n, 'image')}"
        details = [f"{row.lost} lost, {row.gained} gained"]
        details += [f"{p_value(row.p_adjusted)} among all classes"] if with_p else []
        bound = bounds.bound(row.name) if bounds else None
        details += [f"bound {points(bound)}"] if bound is not None else []
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
    return f"{estimate.low:+.3f} to {estimate.high:+.3f}".replace("-", MINUS)
