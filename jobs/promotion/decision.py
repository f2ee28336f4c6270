"""The whole decision as a document (its shape: jobs.decide)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from jobs.context import Context
from jobs.data.pins import PINNED, Pins, load_pins
from jobs.metrics.registry import metrics
from jobs.promotion.candidates import Candidate, candidates_of, choose
from jobs.promotion.judging import fresh_numbers, groups_of, judged, numbers
from jobs.promotion.paired import ClassTest, Estimate, class_tests, compare
from jobs.promotion.rule import Rule
from jobs.promotion.sentences import coarse_sentence, first_sentence, renewal, same_sentence, verdict_sentence
from jobs.promotion.verdict import FIRST, PROMOTED, SAME, Verdict, is_beyond, is_coarse, is_harmed, judge
from jobs.statistics.predictions import Predictions
from jobs.statistics.sequential import Level
from tlbatch import nouns
from tlbatch.contracts.evaluation import ArtifactParams, DecideParams, StreamParams
from tlbatch.errors import DataError
from tlbatch.tasks import InputRef

CHAMPION = "champion"
SAME_IMAGES = 0.98  #: share of the test images up to which scores on them are comparable


def decide(context: Context) -> dict[str, Any]:
    """Choose the challenger on validation and hold it against the champion on the pinned test set."""
    if context.read_params(DecideParams).tasks:
        from jobs.promotion.tasks import decide_tasks

        return decide_tasks(context)
    params, pins = context.read_params(DecideParams), load_pins(context.input(PINNED))
    rule = Rule.of(params.rule)
    candidates = candidates_of(context, rule.promote_on)
    if not candidates:
        raise DataError("no run of the study left a model, so there is no challenger: run the schedule again")
    challenger = choose(candidates, rule.promote_on)
    role = f"evaluate:{challenger.run}"
    found = person(challenger.run, challenger.seed, challenger.models, context.task.inputs[role])
    found |= {"metrics": numbers(context.input(role), challenger.seed), "validation": plain(challenger.validation)}
    found |= {"fresh": fresh_numbers(context.input(role), challenger.seed, pins)}
    document = {
        "challenger": found,
        "candidates": [{"run": c.run, "seed": c.seed, "validation": plain(c.validation)} for c in candidates],
        "rule": params.rule.as_json(),
    }
    return document | _outcome(context, rule, pins, challenger, candidates, found)


@dataclass(frozen=True)
class Weighed:
    """Challenger and champion held against each other; ``level`` has this challenger's score among the others'."""

    verdict: Verdict
    estimate: Estimate
    classes: list[ClassTest]
    level: Level


def weigh(
    rule: Rule,
    challenger: Predictions,
    champion: Predictions,
    classes: Sequence[str],
    level: Level | None,
    *,
    interval: bool = True,
    lost: Sequence[str] = (),
) -> Weighed:
    """The whole rule, on predictions of the same test images. ``level``: None where nothing is known of challengers before.

    ``lost``: as ``judge`` has it. ``interval``: of the difference, for people; it decides nothing, and takes most of the time.
    """
    estimate = compare(rule.promote_on, challenger, champion, interval=interval)
    rows = class_tests(challenger, champion, classes)
    verdict = judge(rule, estimate, rows, level, lost)
    score = estimate.turned(estimate.challenger)
    after = level.then(score, estimate.spread) if level else Level.start(score, estimate.spread)
    return Weighed(verdict, estimate, rows, after)


def _outcome(
    context: Context, rule: Rule, pins: Pins, challenger: Candidate, candidates: Sequence[Candidate], found: Mapping[str, Any]
) -> dict[str, Any]:
    params = context.read_params(DecideParams)
    uses, present = params.uses, params.champion
    test = f"the {len(pins.test):,} test {nouns.items()} (version {pins.version})"
    evaluation = context.input(f"evaluate:{challenger.run}")
    own = judged(evaluation, challenger.seed, pins, groups_of(evaluation)).predictions
    value = found["metrics"][rule.promote_on]
    coarse = [row for row in class_tests(own, own, pins.classes) if is_coarse(row, rule)]
    if present is None:
        said = first_sentence(challenger, rule.promote_on, value, test, candidates) + coarse_sentence(coarse, rule)
        estimate = compare(rule.promote_on, own, own, interval=False)  # its score, and how far such scores scatter
        first = Level.start(estimate.turned(estimate.challenger), estimate.spread)
        return untested(FIRST, said, pins, uses, rule, first)
    champion = person(present.run, present.seed, refs(present.models), context.task.inputs[CHAMPION])
    champion |= {"serial": present.serial, "metrics": numbers(context.input(CHAMPION), present.seed)}
    champion |= {"fresh": fresh_numbers(context.input(CHAMPION), present.seed, pins)}
    level = level_before(params.stream, rule, pins)
    if found["models"] == champion["models"]:
        said = same_sentence(challenger, rule.promote_on, value, test)
        return untested(SAME, said, pins, uses, rule, level) | {"champion": champion}
    other = judged(context.input(CHAMPION), champion["seed"], pins, groups_of(evaluation)).predictions
    if level is None and renewed(params.stream, pins):
        chosen_elsewhere = compare(rule.promote_on, other, other, interval=False)
        level = Level.start(chosen_elsewhere.turned(chosen_elsewhere.champion), chosen_elsewhere.spread)
    lost = [name for name in present.added if name not in pins.classes]
    weighed = weigh(rule, own, other, pins.classes, level, lost=lost)
    return _tested(uses, rule, pins, challenger, found, champion, weighed, coarse)


def level_before(stream: StreamParams | None, rule: Rule, pins: Pins) -> Level | None:
    """What challengers scored before; None where that was by another metric or on (nearly) other images."""
    if not stream or stream.metric != rule.promote_on or list(stream.classes) != list(pins.classes):
        return None
    same = sum(pin.since <= stream.version for pin in pins.test)
    return Level.from_json(stream.as_json()) if same >= SAME_IMAGES * len(pins.test) else None


def renewed(stream: StreamParams | None, pins: Pins) -> bool:
    """Whether all test images are other ones than those that challengers were held against before: nobody was chosen there."""
    return stream is not None and all(pin.since > stream.version for pin in pins.test)


def stream_document(level: Level | None, rule: Rule, pins: Pins) -> dict[str, Any] | None:
    if level is None:
        return None
    return {**level.to_json(), "metric": rule.promote_on, "classes": list(pins.classes), "version": pins.version}


def untested(
    outcome: str, sentence: str, pins: Pins, uses: Mapping[str, int], rule: Rule, level: Level | None
) -> dict[str, Any]:
    return {
        "outcome": outcome,
        "why": None,
        "sentence": sentence,
        "champion": None,
        "test": test_document(pins, uses, rule, tested=0),
        "estimate": None,
        "classes": [],
        "stream": stream_document(level, rule, pins),
        "renew": None,
        "corrected": None,
    }


def _tested(
    uses: Mapping[str, int],
    rule: Rule,
    pins: Pins,
    challenger: Candidate,
    found: Mapping[str, Any],
    champion: Mapping[str, Any],
    weighed: Weighed,
    coarse: Sequence[ClassTest],
) -> dict[str, Any]:
    k, verdict, estimate = pins.served(uses) + 1, weighed.verdict, weighed.estimate
    test = f"the {len(pins.test):,} test {nouns.items()} (version {pins.version})"
    incumbent = f"{champion['run']} (number {champion['serial']}, seed {champion['seed']})"
    renew = renewal(k, estimate, verdict.luck)
    who, score = (found, estimate.challenger) if verdict.outcome == PROMOTED else (champion, estimate.champion)
    standing = (score, who["metrics"][estimate.metric])
    said = verdict_sentence(verdict, rule, k, estimate, challenger.label, incumbent, test)
    return {
        "outcome": verdict.outcome,
        "why": verdict.why,
        "sentence": said + coarse_sentence(coarse, rule) + (f" {renew}" if renew else ""),
        "champion": dict(champion),
        "test": test_document(pins, uses, rule, tested=1),
        "estimate": estimate_document(estimate) | {"luck": verdict.luck},
        "classes": [class_document(row, rule, len(weighed.classes)) for row in weighed.classes],
        "stream": stream_document(weighed.level, rule, pins),
        "renew": renew or None,
        "corrected": corrected(weighed.level, estimate, *standing),
    }


def corrected(level: Level, estimate: Estimate, score: float, measured: Mapping[str, Any]) -> dict[str, Any]:
    """{metric, value, low, high} of who stands after this night, without the luck of having been chosen on these images.

    ``measured``: its ``score`` with the interval, which is moved along. The value may be higher than the score where that
    was bad luck.
    """
    most = 1.0 if metrics()[estimate.metric].higher_is_better else math.inf
    moved = estimate.turned(level.expected(estimate.turned(score), estimate.noise)) - score
    fair = {part: None if value is None else min(most, value + moved) for part, value in measured.items()}
    return {"metric": estimate.metric} | fair


def test_document(pins: Pins, uses: Mapping[str, int], rule: Rule, *, tested: int) -> dict[str, Any]:
    """``tested``: 1 where this decision made a test, else 0."""
    k = pins.served(uses) + tested
    return {
        "version": pins.version,
        "images": len(pins.test),
        "count": uses.get(str(pins.version), 0) + tested,
        "k": k,
        "level": rule.alpha if k else None,
        "fresh": len(pins.fresh),
    }


def person(run: str, seed: int, models: Mapping[str, InputRef], evaluation: InputRef) -> dict[str, Any]:
    return {
        "run": run,
        "seed": seed,
        "models": {role: asdict(ref) for role, ref in sorted(models.items())},
        "evaluation": asdict(evaluation),
    }


def refs(models: Mapping[str, ArtifactParams]) -> dict[str, InputRef]:
    return {role: InputRef(**model.as_json()) for role, model in models.items()}


def estimate_document(estimate: Estimate) -> dict[str, Any]:
    names = ("metric", "challenger", "champion", "difference", "gain", "low", "high", "p", "p_worse", "gained", "lost", "units")
    values = {name: getattr(estimate, name) for name in names}
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in values.items()}


def class_document(row: ClassTest, rule: Rule, classes: int) -> dict[str, Any]:
    return {
        "class": row.name,
        "n": row.n,
        "champion": row.champion,
        "challenger": row.challenger,
        "lost": row.lost,
        "gained": row.gained,
        "p": row.p,
        "p_adjusted": row.p_adjusted,
        "harmed": is_harmed(row, rule, classes),
        "bound": rule.bound(row.name),
        "beyond_bound": is_beyond(row, rule, classes),
        "coarse": is_coarse(row, rule),
    }


def plain(values: Mapping[str, float] | None) -> dict[str, float] | None:
    return None if values is None else dict(values)
