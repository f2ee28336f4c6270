"""From the numbers to a verdict: the rules of promotion. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jobs.promotion.paired import ClassTest, Estimate
from jobs.promotion.rule import BETTER, Rule

FIRST, PROMOTED, REFUSED, SAME = "first", "promoted", "refused", "same"
WORSE, HARMED, BOUND, GAIN, NOT_SHOWN = "worse", "class harmed", "class bound", "gain", "not shown"


@dataclass(frozen=True)
class Verdict:
    """``why``: of a refusal, the first rule that is not kept. ``harmed``, ``beyond``: the classes that are, the worst first."""

    outcome: str
    why: str | None = None
    harmed: tuple[ClassTest, ...] = ()
    beyond: tuple[ClassTest, ...] = ()


def judge(rule: Rule, k: int, estimate: Estimate, classes: Sequence[ClassTest]) -> Verdict:
    """The k-th test on this test set."""
    level = rule.level(k)
    harmed = tuple(sorted((row for row in classes if is_harmed(row, level)), key=lambda row: row.p))
    beyond = tuple(sorted((row for row in classes if is_beyond(row, rule)), key=lambda row: -row.loss))
    why = _why(rule, level, estimate, bool(harmed), bool(beyond))
    return Verdict(REFUSED if why else PROMOTED, why, harmed, beyond)


def is_harmed(row: ClassTest, level: float) -> bool:
    """Whether a loss of the class is shown."""
    return row.p_adjusted <= level


def is_beyond(row: ClassTest, rule: Rule) -> bool:
    """Whether the class loses more recall than its bound allows."""
    bound = rule.bound(row.name)
    return bound is not None and row.loss > bound + 1e-12


def _why(rule: Rule, level: float, estimate: Estimate, harmed: bool, beyond: bool) -> str | None:
    if estimate.gain < -1e-12:
        return WORSE
    if beyond:  # what the study says itself comes before what a test shows
        return BOUND
    if harmed:
        return HARMED
    if rule.promote != BETTER:
        return None
    if estimate.gain < rule.min_gain - 1e-12 or estimate.gain <= 1e-12:
        return GAIN
    return None if estimate.p < level else NOT_SHOWN
