"""One verdict over several tasks: a challenger is one model with a head a task, and takes another's place as a whole. Pure.

*Harm* to any task refuses it, and each task is guarded by the very rule of a schedule of that task alone: its own test of being
worse, of each of its classes, of a fall, all at the same levels however many tasks there are. So a task that is harmed is
refused at least as often as it would be alone; what pays for that is that equals are refused more often, the more tasks.

A *gain* (``promote: better``) must be shown in one task at least, by Holm's correction over all of them: among equals some
gain is shown with probability ``alpha`` at most in all, however many tasks there are (Holm 1979, under any dependence).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from jobs.promotion.paired import Estimate
from jobs.promotion.rule import BETTER, NOT_WORSE, Rule
from jobs.promotion.verdict import GAIN, NOT_SHOWN, PROMOTED, REFUSED, Verdict
from jobs.statistics.corrections import holm


@dataclass(frozen=True)
class Joint:
    """``why``: of a refusal, that of the first task of ``tasks``: those that refuse. Of a gain, those in which it is shown.

    ``p``: of the gain in each task, Holm-adjusted over all; empty where no gain is asked for, or a task refuses before.
    """

    outcome: str
    why: str | None
    tasks: tuple[str, ...] = ()
    p: Mapping[str, float] = field(default_factory=dict)


def guard(rule: Rule) -> Rule:
    """What each task is held to for itself: not to be harmed. Whether anything is gained is asked of all together."""
    return replace(rule, promote=NOT_WORSE)


def judge_together(rule: Rule, verdicts: Mapping[str, Verdict], estimates: Mapping[str, Estimate]) -> Joint:
    """``verdicts``: of each task by its ``guard``; ``rule``: any task's (promote, min_gain and alpha are those of all)."""
    refusing = tuple(task for task, verdict in verdicts.items() if verdict.outcome == REFUSED)
    if refusing:
        return Joint(REFUSED, verdicts[refusing[0]].why, refusing)
    if rule.promote != BETTER:
        return Joint(PROMOTED, None)
    beyond = {task: estimates[task].p_beyond(verdict.luck) for task, verdict in verdicts.items()}
    adjusted = dict(zip(beyond, holm(list(beyond.values())), strict=True))
    large = [task for task, verdict in verdicts.items() if _is_large(rule, estimates[task].gain + verdict.luck)]
    shown = tuple(task for task in large if adjusted[task] <= rule.alpha)
    if shown:
        return Joint(PROMOTED, None, shown, adjusted)
    return Joint(REFUSED, NOT_SHOWN if large else GAIN, tuple(large), adjusted)


def _is_large(rule: Rule, gain: float) -> bool:
    return gain >= rule.min_gain - 1e-12 and gain > 1e-12
