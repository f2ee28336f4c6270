"""A decision over several tasks in sentences: the verdict, then what it rests on, task by task. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.metrics.registry import metrics
from jobs.promotion.candidates import Candidate
from jobs.promotion.decision import Weighed
from jobs.promotion.over_tasks import Joint
from jobs.promotion.rule import BETTER, WORSE_LEVEL, Rule
from jobs.promotion.sentences import LUCK_TOLD, amount, apart, fallen_classes, measured, shown, times
from jobs.promotion.verdict import BOUND, FALLEN, GAIN, HARMED, PROMOTED, WORSE
from jobs.reporting.formatting import listing, p_value, plural
from tlbatch import nouns

First = tuple[str, str, Mapping[str, Any], int]
"""A task, its metric, {value, low, high} of it, and how many test images have its label."""


@dataclass(frozen=True)
class TaskWords:
    """A task, its rule, how many test images have its label, and challenger and champion held against each other in it."""

    name: str
    rule: Rule
    tested: int
    weighed: Weighed


def first_of_tasks(challenger: Candidate, tasks: Sequence[First], version: int, candidates: int) -> str:
    best = ""
    if candidates > 1 and challenger.validation is None:
        best = f", the first of {plural(candidates, 'model')} (no validation {nouns.items()} to choose by)"
    elif candidates > 1:
        best = f", the best of {plural(candidates, 'model')} on validation (mean over the tasks)"
    return f"The first champion is {challenger.label}{best}: {_scores(tasks, version)}."


def same_of_tasks(challenger: Candidate, tasks: Sequence[First], version: int) -> str:
    return f"Nothing new to judge: {challenger.label} is the champion itself, with {_scores(tasks, version)}."


def _scores(tasks: Sequence[First], version: int) -> str:
    said = [f"{name} {measured(metric, dict(value))} on {n:,}" for name, metric, value, n in tasks]
    return f"{', '.join(said)} test {nouns.items()} (version {version})"


def verdict_of_tasks(joint: Joint, tasks: Sequence[TaskWords], challenger: str, champion: str, version: int, k: int) -> str:
    """The verdict, then each task's numbers, how often the test images were asked, and what is put down to luck."""
    numbers = " ".join(_numbers(task) for task in tasks)
    used = f"These test {nouns.items()} (version {version}) were asked {times(k)}."
    return f"{_verdict(joint, tasks, challenger, champion)}. {numbers} {used}{_luck(tasks)}"


def _verdict(joint: Joint, tasks: Sequence[TaskWords], challenger: str, champion: str) -> str:
    rule, named = tasks[0].rule, {task.name: task for task in tasks}
    if joint.outcome == PROMOTED:
        better = [f"{name} ({p_value(joint.p[name])})" for name in joint.tasks]
        gained = (
            f" it is shown to be better in {listing(better)}, by Holm over {len(tasks)} tasks;"
            if rule.promote == BETTER
            else ""
        )
        return (
            f"Promoted: {challenger} takes the place of {champion}:{gained} no task is shown to be worse, "
            "and no class of any to be harmed"
        )
    who = f"{challenger} does not take the place of {champion}"
    if not joint.p:
        return f"Refused for {'; for '.join(_refusal(named[name]) for name in joint.tasks)}: {who}"
    if joint.why == GAIN:
        least = f" (min_gain {amount(rule.promote_on, rule.min_gain)})" if rule.min_gain else ""
        return f"Refused, no task gains{' enough' if least else ''}{least}: {who}"
    p = [f"{name} {p_value(joint.p[name])}" for name in joint.tasks]
    least = f"by Holm over {len(tasks)} tasks; one must not be above {rule.alpha:g}"
    return f"Refused, no gain is shown ({listing(p)}, {least}): {who}"


def _refusal(task: TaskWords) -> str:
    """'breed, which is worse (p = 0.03, below 0.2)'."""
    verdict, why = task.weighed.verdict, task.weighed.verdict.why
    if why == WORSE:
        return f"{task.name}, which is worse ({p_value(task.weighed.estimate.p_worse)}, below {WORSE_LEVEL:g})"
    if why == HARMED:
        return f"{task.name}, of which a class is harmed: {fallen_classes(verdict.harmed)}"
    if why == BOUND:
        return f"{task.name}, of which a class is beyond its bound: {fallen_classes(verdict.beyond, bounds=task.rule)}"
    assert why == FALLEN, why
    return f"{task.name}, of which the challengers of late have fallen below what earlier ones had here"


def _numbers(task: TaskWords) -> str:
    """'breed: accuracy 90.0 % on 120 test images, 87.5 % the champion: 2.5 points more (…).'"""
    found = task.weighed.estimate
    a, b = (shown(found.metric, value) for value in (found.challenger, found.champion))
    title = metrics()[found.metric].title
    return f"{task.name}: {title} {a} on {nouns.count(task.tested, 'test')}, the champion {b}: {apart(found)}."


def _luck(tasks: Sequence[TaskWords]) -> str:
    said = [
        f"of {task.name} {amount(task.rule.promote_on, task.weighed.verdict.luck)}"
        for task in tasks
        if task.weighed.verdict.luck >= LUCK_TOLD
    ]
    return f" Of the champion's scores there are put down to luck, as it was chosen on them: {listing(said)}." if said else ""
