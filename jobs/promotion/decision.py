"""The whole decision as a document (its shape: jobs.decide)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from jobs.context import Context
from jobs.data.pins import PINNED, Pins, load_pins
from jobs.promotion.candidates import Candidate, candidates_of, choose
from jobs.promotion.judging import groups_of, judged, numbers
from jobs.promotion.paired import ClassTest, Estimate, class_tests, compare
from jobs.promotion.rule import Rule
from jobs.promotion.sentences import first_sentence, same_sentence, verdict_sentence
from jobs.promotion.verdict import FIRST, SAME, is_beyond, is_harmed, judge
from tlbatch.errors import DataError
from tlbatch.tasks import InputRef

CHAMPION = "champion"


def decide(context: Context) -> dict[str, Any]:
    """Choose the challenger on validation and hold it against the champion on the pinned test set."""
    rule, pins = Rule.of(context.params["rule"]), load_pins(context.input(PINNED))
    candidates = candidates_of(context, rule.promote_on)
    if not candidates:
        raise DataError("no run of the study left a model, so there is no challenger: run the schedule again")
    challenger = choose(candidates, rule.promote_on)
    role = f"evaluate:{challenger.run}"
    found = _person(challenger.run, challenger.seed, challenger.models, context.task.inputs[role])
    found |= {"metrics": numbers(context.input(role), challenger.seed), "validation": _plain(challenger.validation)}
    document = {
        "challenger": found,
        "candidates": [{"run": c.run, "seed": c.seed, "validation": _plain(c.validation)} for c in candidates],
        "rule": context.params["rule"],
    }
    return document | _outcome(context, rule, pins, challenger, candidates, found)


def _outcome(
    context: Context, rule: Rule, pins: Pins, challenger: Candidate, candidates: Sequence[Candidate], found: Mapping[str, Any]
) -> dict[str, Any]:
    uses, present = context.params["uses"], context.params[CHAMPION]
    test = f"the {len(pins.test):,} test images (version {pins.version})"
    value = found["metrics"][rule.promote_on]
    if present is None:
        said = first_sentence(challenger, rule.promote_on, value, test, candidates)
        return _untested(FIRST, said, pins, uses, rule)
    champion = _person(present["run"], present["seed"], _refs(present["models"]), context.task.inputs[CHAMPION])
    champion |= {"serial": present["serial"], "metrics": numbers(context.input(CHAMPION), present["seed"])}
    if found["models"] == champion["models"]:
        said = same_sentence(challenger, rule.promote_on, value, test)
        return _untested(SAME, said, pins, uses, rule) | {"champion": champion}
    return _tested(context, rule, pins, challenger, champion)


def _untested(outcome: str, sentence: str, pins: Pins, uses: Mapping[str, int], rule: Rule) -> dict[str, Any]:
    return {
        "outcome": outcome,
        "why": None,
        "sentence": sentence,
        "champion": None,
        "test": _test(pins, uses, rule, tested=0),
        "estimate": None,
        "classes": [],
    }


def _tested(context: Context, rule: Rule, pins: Pins, challenger: Candidate, champion: Mapping[str, Any]) -> dict[str, Any]:
    uses = context.params["uses"]
    k = pins.served(uses) + 1
    evaluation = context.input(f"evaluate:{challenger.run}")
    groups = groups_of(evaluation)
    a = judged(evaluation, challenger.seed, pins, groups).predictions
    b = judged(context.input(CHAMPION), champion["seed"], pins, groups).predictions
    estimate, classes = compare(rule.promote_on, a, b), class_tests(a, b, pins.classes)
    verdict = judge(rule, k, estimate, classes)
    test = f"the {len(pins.test):,} test images (version {pins.version})"
    incumbent = f"{champion['run']} (number {champion['serial']}, seed {champion['seed']})"
    return {
        "outcome": verdict.outcome,
        "why": verdict.why,
        "sentence": verdict_sentence(verdict, rule, k, estimate, challenger.label, incumbent, test),
        "champion": dict(champion),
        "test": _test(pins, uses, rule, tested=1),
        "estimate": _estimate(estimate),
        "classes": [_class(row, rule, k) for row in classes],
    }


def _test(pins: Pins, uses: Mapping[str, int], rule: Rule, *, tested: int) -> dict[str, Any]:
    """``tested``: 1 where this decision made a test, else 0."""
    k = pins.served(uses) + tested
    return {
        "version": pins.version,
        "images": len(pins.test),
        "count": uses.get(str(pins.version), 0) + tested,
        "k": k,
        "level": rule.level(k) if k else None,
    }


def _person(run: str, seed: int, models: Mapping[str, InputRef], evaluation: InputRef) -> dict[str, Any]:
    return {
        "run": run,
        "seed": seed,
        "models": {role: asdict(ref) for role, ref in sorted(models.items())},
        "evaluation": asdict(evaluation),
    }


def _refs(documents: Mapping[str, Mapping[str, str]]) -> dict[str, InputRef]:
    return {role: InputRef(**document) for role, document in documents.items()}


def _estimate(estimate: Estimate) -> dict[str, Any]:
    names = ("metric", "challenger", "champion", "difference", "gain", "low", "high", "p", "gained", "lost")
    values = {name: getattr(estimate, name) for name in names}
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in values.items()}


def _class(row: ClassTest, rule: Rule, k: int) -> dict[str, Any]:
    return {
        "class": row.name,
        "n": row.n,
        "champion": row.champion,
        "challenger": row.challenger,
        "lost": row.lost,
        "gained": row.gained,
        "p": row.p,
        "p_adjusted": row.p_adjusted,
        "harmed": is_harmed(row, rule.level(k)),
        "bound": rule.bound(row.name),
        "beyond_bound": is_beyond(row, rule),
    }


def _plain(values: Mapping[str, float] | None) -> dict[str, float] | None:
    return None if values is None else dict(values)
