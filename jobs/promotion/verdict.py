"""From the numbers to a verdict: the rules of promotion. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jobs.promotion.paired import ClassTest, Estimate
from jobs.promotion.rule import BETTER, WORSE_LEVEL, Rule
from jobs.statistics.sequential import Level

FIRST, PROMOTED, REFUSED, SAME = "first", "promoted", "refused", "same"
WORSE, HARMED, BOUND, FALLEN, GAIN, NOT_SHOWN = "worse", "class harmed", "class bound", "fallen", "gain", "not shown"
LOST = "class lost"


@dataclass(frozen=True)
class Verdict:
    """``why``: of a refusal, the first rule that is not kept. ``harmed``, ``beyond``: the classes that are, the worst first.

    ``luck``: how much of the champion's score on these images is put down to its having been chosen on them. ``lost``: classes
    that the champion knows and the challenger does not.
    """

    outcome: str
    why: str | None = None
    harmed: tuple[ClassTest, ...] = ()
    beyond: tuple[ClassTest, ...] = ()
    luck: float = 0.0
    lost: tuple[str, ...] = ()


def judge(
    rule: Rule, estimate: Estimate, classes: Sequence[ClassTest], level: Level | None = None, lost: Sequence[str] = ()
) -> Verdict:
    """``level``: what challengers before scored on these test images; None where that is not known.

    ``lost``: classes that the champion got without training and the dataset has not: no test image speaks for them.
    """
    count = len(classes)
    harmed = tuple(sorted((row for row in classes if is_harmed(row, rule, count)), key=lambda row: row.p))
    beyond = tuple(sorted((row for row in classes if is_beyond(row, rule, count)), key=lambda row: -row.loss))
    luck = level.luck(estimate.turned(estimate.champion), estimate.noise) if level else 0.0
    why = LOST if lost else _why(rule, estimate, bool(harmed), bool(beyond), level, luck)
    return Verdict(REFUSED if why else PROMOTED, why, harmed, beyond, luck, tuple(lost))


def is_harmed(row: ClassTest, rule: Rule, classes: int) -> bool:
    """Whether a loss of the class is shown."""
    return row.p <= rule.harm_level(classes)


def is_beyond(row: ClassTest, rule: Rule, classes: int) -> bool:
    """Whether the class loses more recall than its bound allows, and more than chance gives: one image shows nothing."""
    bound = rule.bound(row.name)
    return bound is not None and row.loss > bound + 1e-12 and row.p <= rule.bound_level(classes)


def is_coarse(row: ClassTest, rule: Rule) -> bool:
    """Whether one image of the class is more than its bound."""
    bound = rule.bound(row.name)
    return bound is not None and row.n > 0 and 1 / row.n > bound + 1e-12


def _why(rule: Rule, estimate: Estimate, harmed: bool, beyond: bool, level: Level | None, luck: float) -> str | None:
    if estimate.p_worse <= WORSE_LEVEL:
        return WORSE
    if beyond:  # what the study says itself comes before what a test shows
        return BOUND
    if harmed:
        return HARMED
    if level is not None and level.has_fallen(estimate.turned(estimate.challenger), estimate.spread):
        return FALLEN
    if rule.promote != BETTER:
        return None
    gain = estimate.gain + luck
    if gain < rule.min_gain - 1e-12 or gain <= 1e-12:
        return GAIN
    return None if estimate.p_beyond(luck) <= rule.alpha else NOT_SHOWN
