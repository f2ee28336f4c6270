"""A decision in a sentence that a person can act on, the numbers in it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobs.metrics.registry import metrics
from jobs.promotion.candidates import Candidate
from jobs.promotion.paired import ClassTest, Estimate
from jobs.promotion.rule import BETTER, WORSE_LEVEL, Rule
from jobs.promotion.verdict import BOUND, FALLEN, GAIN, HARMED, LOST, PROMOTED, WORSE, Verdict
from jobs.reporting.formatting import MINUS, interval_points, listing, number, p_value, percent, plural, points, signed_points
from jobs.statistics.sequential import images_needed
from tlbatch import nouns

NAMED = 3  #: classes told of, at most
LUCK_TOLD = 0.001
WORN_AFTER = 100  #: questions to one set of test images
WORN_LUCK = 1.5  #: the champion's luck, in standard errors of one model's score
GAIN_SOUGHT = 0.03


def first_sentence(
    challenger: Candidate, metric: str, value: dict[str, Any], test: str, candidates: Sequence[Candidate]
) -> str:
    several = len(candidates) > 1
    best = f", the best of {plural(len(candidates), 'model')} on validation" if several else ""
    if several and challenger.validation is None:
        best = f", the first of {plural(len(candidates), 'model')} (no validation {nouns.items()} to choose by)"
    return f"The first champion is {challenger.label}{best}: {measured(metric, value)} on {test}."


def same_sentence(challenger: Candidate, metric: str, value: dict[str, Any], test: str) -> str:
    return f"Nothing new to judge: {challenger.label} is the champion itself, with {measured(metric, value)} on {test}."


def verdict_sentence(
    verdict: Verdict, rule: Rule, k: int, estimate: Estimate, challenger: str, champion: str, test: str
) -> str:
    """The verdict, what it is about, and what it rests on."""
    compared = _compared(estimate, challenger, champion, test)
    luck = ""
    if verdict.luck >= LUCK_TOLD:
        points_of_luck = amount(rule.promote_on, verdict.luck)
        luck = f" Of the champion's score there {points_of_luck} are put down to luck: it was chosen on them."
    return f"{_judged(verdict, rule, estimate, compared)}. These test {nouns.items()} were asked {times(k)}.{luck}"


def coarse_sentence(coarse: Sequence[ClassTest], rule: Rule) -> str:
    """' Class X has 8 test images: one image is 12.5 points, more than …', or nothing."""
    if not coarse:
        return ""
    said = [
        f"{row.name} has {nouns.count(row.n, 'test')}: one {nouns.item()} is {points(1 / row.n)}, more than the bound of "
        f"{points(rule.bound(row.name) or 0.0)}"
        for row in coarse[:NAMED]
    ]
    more = f"; so it is with {len(coarse) - NAMED} more" if len(coarse) > NAMED else ""
    return (
        f" {'; '.join(said)}{more}. One {nouns.item()} alone refuses nobody; pin more {nouns.items()} of it to "
        f"judge that bound."
    )


def renewal(k: int, estimate: Estimate, luck: float) -> str:
    """When the test images are worn: how many others to pin; else ''."""
    if k < WORN_AFTER and luck < WORN_LUCK * estimate.spread:
        return ""
    need = images_needed(GAIN_SOUGHT, (estimate.gained + estimate.lost) / max(estimate.units, 1))
    return (
        f"They are worn: `tlbatch schedule renew` pins others; {need:,} would show a true gain of {points(GAIN_SOUGHT)} four "
        "nights in five."
    )


def times(k: int) -> str:
    return "once" if k == 1 else f"{k:,} times"


def _judged(verdict: Verdict, rule: Rule, estimate: Estimate, compared: str) -> str:
    if verdict.outcome == PROMOTED:
        p = p_value(estimate.p_beyond(verdict.luck))
        gained = f", which is shown ({p})" if rule.promote == BETTER else ", not shown to be less" if estimate.gain < 0 else ""
        return f"Promoted: {compared}{gained}, and no class is shown to be harmed"
    if verdict.why == LOST:
        return (
            f"Refused, as the champion knows {listing(verdict.lost)}, which was added to it and which the dataset has not: put "
            f"{nouns.items()} of it into the dataset, or give it up with `tlbatch champion rollback`; beside that, {compared}"
        )
    if verdict.why == WORSE:
        return f"Refused as worse ({p_value(estimate.p_worse)}, below {WORSE_LEVEL:g}): {compared}"
    if verdict.why == HARMED:
        return f"Refused for a class that is harmed: {fallen_classes(verdict.harmed)}; over all, {compared}"
    if verdict.why == BOUND:
        return f"Refused for a class beyond its bound: {fallen_classes(verdict.beyond, bounds=rule)}; over all, {compared}"
    if verdict.why == FALLEN:
        return f"Refused, the challengers of late have fallen below what earlier ones had here: {compared}"
    if verdict.why == GAIN:
        asked = f"too small a gain (min_gain {amount(rule.promote_on, rule.min_gain)})" if rule.min_gain else "lack of any gain"
        return f"Refused for {asked}: {compared}"
    p = p_value(estimate.p_beyond(verdict.luck))
    return f"Refused, the gain is not shown ({p}, which must not be above {rule.alpha:g}): {compared}"


def _compared(estimate: Estimate, challenger: str, champion: str, test: str) -> str:
    title = metrics()[estimate.metric].title
    values = [shown(estimate.metric, value) for value in (estimate.challenger, estimate.champion)]
    return f"{challenger} has {title} {values[0]} on {test}, the champion {champion} {values[1]}: {apart(estimate)}"


def apart(estimate: Estimate) -> str:
    """'2.5 points more (95 % interval …; only the challenger gets 5 images right, only the champion 0)'."""
    difference = estimate.difference
    more = f"{amount(estimate.metric, abs(difference))} {'more' if difference > 0 else 'less'}" if difference else "as much"
    alone = f"only the challenger gets {nouns.count(estimate.gained)} right, only the champion {estimate.lost:,}"
    return f"{more} (95 % interval {_interval(estimate)}; {alone})"


def fallen_classes(rows: Sequence[ClassTest], *, bounds: Rule | None = None) -> str:
    said = []
    for row in rows[:NAMED]:
        text = f"{row.name} falls from {percent(row.champion)} to {percent(row.challenger)} of its {nouns.count(row.n)}"
        details = [f"{row.lost} lost, {row.gained} gained", p_value(row.p)]
        bound = bounds.bound(row.name) if bounds else None
        details += [f"bound {points(bound)}"] if bound is not None else []
        said.append(f"{text} ({', '.join(details)})")
    return listing(said) + (f", and {len(rows) - NAMED} more" if len(rows) > NAMED else "")


def measured(metric: str, value: dict[str, Any]) -> str:
    among = "" if value["low"] is None else f" [{shown(metric, value['low'])}, {shown(metric, value['high'])}]"
    return f"{metrics()[metric].title} {shown(metric, value['value'])}{among}"


def shown(metric: str, value: float) -> str:
    return percent(value) if metrics()[metric].higher_is_better else number(value)


def amount(metric: str, value: float) -> str:
    return points(value) if metrics()[metric].higher_is_better else number(value)


def _interval(estimate: Estimate) -> str:
    if metrics()[estimate.metric].higher_is_better:
        return interval_points(estimate.low, estimate.high) if estimate.low != estimate.high else signed_points(estimate.low)
    return f"{estimate.low:+.3f} to {estimate.high:+.3f}".replace("-", MINUS)
