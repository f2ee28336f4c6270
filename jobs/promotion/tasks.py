"""The decision of a schedule whose models have several tasks, as a document (its shape: jobs.decide)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.context import Context
from jobs.data.pins import PINNED, Pins, load_pins
from jobs.promotion.candidates import Candidate, candidates_of, choose_by, line_of, mean_order
from jobs.promotion.decision import (
    CHAMPION,
    Weighed,
    class_document,
    corrected,
    estimate_document,
    level_before,
    person,
    plain,
    refs,
    renewed,
    stream_document,
    test_document,
    weigh,
)
from jobs.promotion.judging import fresh_numbers, groups_of, judged, numbers
from jobs.promotion.over_tasks import Joint, guard, judge_together
from jobs.promotion.paired import class_tests, compare
from jobs.promotion.rule import Rule
from jobs.promotion.sentences import coarse_sentence, renewal
from jobs.promotion.task_sentences import TaskWords, first_of_tasks, same_of_tasks, verdict_of_tasks
from jobs.promotion.verdict import FIRST, PROMOTED, SAME, is_coarse
from jobs.statistics.predictions import Predictions
from jobs.statistics.sequential import Level
from tlbatch.contracts.evaluation import DecidedTask, DecideParams
from tlbatch.errors import DataError


@dataclass(frozen=True)
class Side:
    """A task on its part of the pinned test set: what is asked, who challenges with what, and who stands (None: nobody)."""

    asked: DecidedTask
    rule: Rule
    pins: Pins
    own: Predictions
    other: Predictions | None
    challenger: dict[str, Any]
    champion: dict[str, Any] | None
    level: Level | None

    @property
    def name(self) -> str:
        return self.asked.name

    @property
    def coarse(self) -> str:
        rows = [row for row in class_tests(self.own, self.own, self.pins.classes) if is_coarse(row, self.rule)]
        return coarse_sentence(rows, self.rule)


def decide_tasks(context: Context) -> dict[str, Any]:
    """Choose the challenger by the mean over the tasks on validation, and hold it against the champion in each of them."""
    params, pins = context.read_params(DecideParams), load_pins(context.input(PINNED))
    rules = {task.name: Rule.of(task.rule) for task in params.tasks}
    candidates = {name: candidates_of(context, rule.promote_on, name) for name, rule in rules.items()}
    several = [(rule.promote_on, candidates[name]) for name, rule in rules.items()]
    first = next(iter(candidates.values()))
    if not first:
        raise DataError("no run of the study left a model, so there is no challenger: run the schedule again")
    challenger = choose_by(first, mean_order(several))
    sides = [_side(context, task, rules[task.name], pins, challenger, candidates[task.name]) for task in params.tasks]
    said = _outcome(params, pins, challenger, sides, len(first))
    main, *_ = said["tasks"]
    everyone = [
        {
            "run": each.run,
            "seed": each.seed,
            "validation": {name: plain(own.validation) for name, own in zip(rules, of, strict=True)},
        }
        for each, *of in zip(first, *candidates.values(), strict=True)
    ]
    kept = {name: value for name, value in main.items() if name not in ("name", "rule")}
    return {**kept, **said, "candidates": everyone, "rule": params.rule.as_json()}


def _side(
    context: Context, task: DecidedTask, rule: Rule, pins: Pins, challenger: Candidate, candidates: Sequence[Candidate]
) -> Side:
    own_pins = pins.of_task(task.name)
    role = f"evaluate:{line_of(challenger.run, task.name)}"
    evaluation = context.input(role)
    own = next(each for each in candidates if (each.run, each.seed) == (challenger.run, challenger.seed))
    found = person(own.run, own.seed, own.models, context.task.inputs[role])
    found |= {"metrics": numbers(evaluation, own.seed), "validation": plain(own.validation)}
    found |= {"fresh": fresh_numbers(evaluation, own.seed, own_pins)}
    predictions = judged(evaluation, own.seed, own_pins, groups_of(evaluation)).predictions
    champion, other = None, None
    if task.champion is not None:
        place = f"{CHAMPION}:{task.name}"
        champion = person(task.champion.run, task.champion.seed, refs(task.champion.models), context.task.inputs[place])
        champion |= {"serial": task.champion.serial, "metrics": numbers(context.input(place), task.champion.seed)}
        champion |= {"fresh": fresh_numbers(context.input(place), task.champion.seed, own_pins)}
        other = judged(context.input(place), task.champion.seed, own_pins, groups_of(evaluation)).predictions
    return Side(task, rule, own_pins, predictions, other, found, champion, level_before(task.stream, rule, own_pins))


def _outcome(params: DecideParams, pins: Pins, challenger: Candidate, sides: Sequence[Side], candidates: int) -> dict[str, Any]:
    """``outcome``, ``why``, ``refused_by``, ``gains``, ``sentence`` of all, and ``tasks``: what each has."""
    test = {"test": test_document(pins, params.uses, sides[0].rule, tested=0)}
    nothing: dict[str, Any] = {"why": None, "refused_by": [], "gains": {}, **test}
    coarse = "".join(side.coarse for side in sides)
    if any(side.champion is None for side in sides):
        said = first_of_tasks(challenger, [_first_words(side) for side in sides], pins.version, candidates)
        tasks = [_untested(side, params, _first_level(side)) for side in sides]
        return {**nothing, "outcome": FIRST, "sentence": said + coarse, "tasks": tasks}
    if all(side.champion and side.champion["models"] == side.challenger["models"] for side in sides):
        said = same_of_tasks(challenger, [_first_words(side) for side in sides], pins.version)
        tasks = [_untested(side, params, side.level) | {"champion": side.champion} for side in sides]
        return {**nothing, "outcome": SAME, "sentence": said, "tasks": tasks}
    weighed = {side.name: _weigh(side, params) for side in sides}
    joint = judge_together(
        sides[0].rule,
        {name: found.verdict for name, found in weighed.items()},
        {name: found.estimate for name, found in weighed.items()},
    )
    k = pins.served(params.uses) + 1
    words = [TaskWords(side.name, side.rule, len(side.pins.test), weighed[side.name]) for side in sides]
    incumbent = "{run} (number {serial}, seed {seed})".format(**(sides[0].champion or {}))
    renew = [text for text in (_renewal(weighed[side.name], k) for side in sides) if text]
    said = verdict_of_tasks(joint, words, challenger.label, incumbent, pins.version, k) + coarse
    return {
        "outcome": joint.outcome,
        "why": joint.why,
        "refused_by": list(joint.tasks) if joint.outcome != PROMOTED else [],
        "gains": dict(joint.p),
        "sentence": said + (f" {renew[0]}" if renew else ""),
        "test": test_document(pins, params.uses, sides[0].rule, tested=1),
        "renew": renew[0] if renew else None,
        "tasks": [_tested(side, params, weighed[side.name], joint, k) for side in sides],
    }


def _weigh(side: Side, params: DecideParams) -> Weighed:
    """By what the task alone is held to; where all test images are other ones nobody was chosen there."""
    assert side.other is not None
    level = side.level
    if level is None and renewed(side.asked.stream, side.pins):
        elsewhere = compare(side.rule.promote_on, side.other, side.other, interval=False)
        level = Level.start(elsewhere.turned(elsewhere.champion), elsewhere.spread)
    return weigh(guard(side.rule), side.own, side.other, side.pins.classes, level)


def _first_level(side: Side) -> Level:
    """Its score, and how far such scores scatter: chosen by validation alone, the first of those to come."""
    alone = compare(side.rule.promote_on, side.own, side.own, interval=False)
    return Level.start(alone.turned(alone.challenger), alone.spread)


def _first_words(side: Side) -> tuple[str, str, Mapping[str, Any], int]:
    return side.name, side.rule.promote_on, side.challenger["metrics"][side.rule.promote_on], len(side.pins.test)


def _renewal(weighed: Weighed, k: int) -> str:
    return renewal(k, weighed.estimate, weighed.verdict.luck)


def _untested(side: Side, params: DecideParams, level: Level | None) -> dict[str, Any]:
    return {
        "name": side.name,
        "why": None,
        "challenger": side.challenger,
        "champion": None,
        "test": test_document(side.pins, params.uses, side.rule, tested=0),
        "estimate": None,
        "classes": [],
        "stream": stream_document(level, side.rule, side.pins),
        "renew": None,
        "corrected": None,
        "rule": side.asked.rule.as_json(),
    }


def _tested(side: Side, params: DecideParams, weighed: Weighed, joint: Joint, k: int) -> dict[str, Any]:
    estimate, verdict, champion = weighed.estimate, weighed.verdict, side.champion
    assert champion is not None
    who, score = (side.challenger, estimate.challenger) if joint.outcome == PROMOTED else (champion, estimate.champion)
    return _untested(side, params, weighed.level) | {
        "why": verdict.why,
        "champion": champion,
        "test": test_document(side.pins, params.uses, side.rule, tested=1),
        "estimate": estimate_document(estimate) | {"luck": verdict.luck},
        "classes": [class_document(row, side.rule, len(weighed.classes)) for row in weighed.classes],
        "renew": _renewal(weighed, k) or None,
        "corrected": corrected(weighed.level, estimate, score, who["metrics"][estimate.metric]),
    }
