"""What to transfer, and how: the runs of one source network held beside each other."""

from __future__ import annotations

import json
from collections.abc import Sequence

from jobs.reporting.contrasts import BETTER, NOT_SHOWN, WORSE, Contrast, find
from jobs.reporting.sources import RunSource
from jobs.reporting.words import backbone_name, interval_points, listing, p_value, points, recipe, signed_points

WORDS = {BETTER: "helped", WORSE: "harmed", NOT_SHOWN: "showed no difference"}


def what_decides(runs: Sequence[RunSource], contrasts: Sequence[Contrast]) -> list[str]:
    """A sentence for each source that several runs transfer from, where the test says that it matters which part or how.

    It matters where one of them helped and another harmed, or where two of them were shown to differ. Where signs differ
    and neither is shown, the sentence says that too.
    """
    sources: dict[str, list[RunSource]] = {}
    for run in runs:
        if run.asked["pretrained"]:
            sources.setdefault(_source(run), []).append(run)
    sentences = [_sentence(family, contrasts) for family in sources.values() if len(family) > 1]
    return [sentence for sentence in sentences if sentence]


def _sentence(family: Sequence[RunSource], contrasts: Sequence[Contrast]) -> str | None:
    controls = [c for run in family if (c := find(contrasts, run, "control"))]
    names = {run.name for run in family}
    direct = [c for c in contrasts if {c.a.name, c.b.name} <= names and c.verdict != NOT_SHOWN]
    verdicts = {c.verdict for c in controls}
    signs = {c.accuracy.value > 0 for c in controls if c.accuracy.value != 0}
    if direct or {BETTER, WORSE} <= verdicts:
        return " ".join([_shown(family, controls), *map(_directly, direct)])
    if len(signs) == 2:
        return (
            f"What is taken from {backbone_name(family[0].asked)} may decide, but this test does not show it: "
            f"{_each(controls)}."
        )
    return None


def _shown(family: Sequence[RunSource], controls: Sequence[Contrast]) -> str:
    opening = f"What to transfer decides, not only whether: from the same source, {backbone_name(family[0].asked)}"
    return f"{opening}, {_each(controls)}." if controls else f"{opening}, the runs differ."


def _each(controls: Sequence[Contrast]) -> str:
    """'features (head on …) helped (+3.9 points against from-scratch) and …', the best first."""
    ordered = sorted(controls, key=lambda c: -c.accuracy.value)
    return listing(
        [
            f"{c.a.name} ({recipe(c.a.asked)}) {WORDS[c.verdict]} ({signed_points(c.accuracy.value)} points against {c.b.name})"
            for c in ordered
        ]
    )


def _directly(contrast: Contrast) -> str:
    """Two ways of transferring from one source that were shown to differ, the better one first."""
    up, down = (contrast.a, contrast.b) if contrast.verdict == BETTER else (contrast.b, contrast.a)
    d = contrast.accuracy
    low, high = (d.low, d.high) if contrast.verdict == BETTER else (-d.high, -d.low)
    return (
        f"{up.name} beats {down.name} by {points(d.value)} (95 % interval {interval_points(low, high)}; "
        f"{p_value(contrast.p_adjusted)} after Holm)."
    )


def _source(run: RunSource) -> str:
    return json.dumps([run.asked["model"].get("backbone"), run.asked.get("from")], sort_keys=True)
