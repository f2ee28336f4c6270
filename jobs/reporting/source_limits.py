"""Where source data stop helping: the same run with more and more of the target's labels, against these labels alone."""

from __future__ import annotations

import json
from collections.abc import Sequence

from jobs.reporting.adaptation import Adaptation, method_of
from jobs.reporting.contrasts import BETTER, WORSE, Contrast
from jobs.reporting.formatting import interval_points, listing, signed_points
from tlbatch.strategies import settings_of
from tlbatch.strategies.adapt import TARGET_ONLY

Points = list[tuple[int, Contrast]]
"""Labels a class, and the contrast with what these give alone; the fewest first."""


def limits(found: Sequence[Adaptation]) -> list[tuple[str, Points]]:
    """Of each way to adapt that the study has with two numbers of labels or more: its method and points."""
    groups: dict[str, tuple[str, Points]] = {}
    for each in found:
        alone = next((c for c in each.contrasts if method_of(c.b) == TARGET_ONLY), None)
        asked = each.run.asked
        if alone is None or asked.strategy is None:
            continue
        settings = dict(settings_of(asked.strategy))
        few = int(settings.pop("few"))
        key = json.dumps([asked.model.as_json(), asked.input, settings], sort_keys=True)
        groups.setdefault(key, (method_of(each.run), []))[1].append((few, alone))
    return [(method, sorted(points, key=lambda p: p[0])) for method, points in groups.values() if len(points) > 1]


def limit_sentences(found: Sequence[Adaptation]) -> list[str]:
    return [_sentence(method, points) for method, points in limits(found)]


def _sentence(method: str, points: Points) -> str:
    gains = listing([f"{_gain(c)} with {few}" for few, c in points])
    return (
        f"The sources, by {method}, against the target's labels alone, in points by labels a class: {gains}. {_limit(points)}"
    )


def _gain(c: Contrast) -> str:
    return f"{signed_points(c.accuracy.value)} ({interval_points(c.accuracy.low, c.accuracy.high)})"


def _limit(points: Points) -> str:
    """Up to which number they are shown to help; what follows speaks of the numbers above."""
    helped = [few for few, c in points if c.verdict == BETTER]
    harmed = [few for few, c in points if c.verdict == WORSE]
    harm = f" With {listing(list(map(str, harmed)))} they harm." if harmed else ""
    if not helped:
        return f"They are not shown to help with any of these.{harm}"
    above = [few for few, _ in points if few > helped[-1]]
    if not above:
        return f"They are still shown to help with {helped[-1]}, the most that was tried.{harm}"
    return f"They stop helping between {helped[-1]} and {above[0]}: from there on no gain is shown.{harm}"
