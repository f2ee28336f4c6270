"""What to transfer, and how: the runs of one source network held beside each other."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from jobs.reporting.adaptation import adapted
from jobs.reporting.chance import doubt
from jobs.reporting.contrasts import BETTER, NOT_SHOWN, WORSE, Contrast, find
from jobs.reporting.formatting import backbone_name, interval_points, listing, p_value, points, recipe, signed_points
from jobs.reporting.sources import RunSource
from tlbatch import nouns

WORDS = {BETTER: "helped", WORSE: "harmed", NOT_SHOWN: "showed no difference"}


@dataclass(frozen=True)
class Decides:
    """``told``: names of the runs whose contrast with their control the sentences give."""

    sentences: tuple[str, ...] = ()
    told: tuple[str, ...] = ()


def what_decides(runs: Sequence[RunSource], contrasts: Sequence[Contrast]) -> Decides:
    """Where the test says that it matters which part of a source is transferred, how, or how images are fed to it.

    Runs are held beside each other that come from one source and are fed alike. It matters what is transferred where one of
    them helped and another harmed, or where two of them were shown to differ. Where only the signs differ, that is said too.
    """
    families: dict[str, list[RunSource]] = {}
    for run in runs:
        if run.asked.pretrained and not adapted(run):
            families.setdefault(json.dumps([_source(run), run.asked.input], sort_keys=True), []).append(run)
    said, told = [], []
    for family in families.values():
        controls = [c for run in family if (c := find(contrasts, run, "control"))]
        if sentence := _what_is_transferred(family, controls, contrasts):
            said.append(sentence)
            told += [c.a.name for c in controls]
    fed = [_feeding(c) for c in contrasts if c.verdict != NOT_SHOWN and _fed_otherwise(c)]
    return Decides((*said, *fed), tuple(told))


def _what_is_transferred(
    family: Sequence[RunSource], controls: Sequence[Contrast], contrasts: Sequence[Contrast]
) -> str | None:
    if len({_way(run) for run in family}) < 2:
        return None
    names = {run.name for run in family}
    direct = [c for c in contrasts if {c.a.name, c.b.name} <= names and c.verdict != NOT_SHOWN and _way(c.a) != _way(c.b)]
    signs = {c.accuracy.value > 0 for c in controls if c.accuracy.value != 0}
    source = backbone_name(family[0].asked)
    if direct or {BETTER, WORSE} <= {c.verdict for c in controls}:
        opening = f"What to transfer decides, not only whether: from the same source, {source}"
        start = f"{opening}, {_each(controls)}." if controls else f"{opening}, one part serves better than another."
        return " ".join([start, *(_directly(c) for c in direct)])
    if len(signs) == 2:
        return f"What to transfer may decide, but this test does not show it: from {source}, {_each(controls)}."
    return None


def _each(controls: Sequence[Contrast]) -> str:
    """'a (head on …) helped (+3.9 points against from-scratch) and b …', the best first."""
    ordered = sorted(controls, key=lambda c: -c.accuracy.value)
    return listing(
        [
            f"{c.a.name} ({recipe(c.a.asked)}) {WORDS[c.verdict]} ({signed_points(c.accuracy.value)} points against {c.b.name}"
            f"{doubt(c.b)})"
            for c in ordered
        ]
    )


def _directly(contrast: Contrast) -> str:
    """Two runs that were shown to differ, the better one first."""
    up, down = (contrast.a, contrast.b) if contrast.verdict == BETTER else (contrast.b, contrast.a)
    d = contrast.accuracy
    low, high = (d.low, d.high) if contrast.verdict == BETTER else (-d.high, -d.low)
    interval = f"95 % interval {interval_points(low, high)}"
    p = p_value(contrast.p_adjusted)
    return f"{up.name} beats {down.name}{doubt(down)} by {points(d.value)} ({interval}; {p} after Holm)."


def _fed_otherwise(contrast: Contrast) -> bool:
    """Whether the two runs transfer the same in the same way and differ in how images are fed."""
    a, b = contrast.a, contrast.b
    both = a.asked.pretrained and b.asked.pretrained
    return both and _source(a) == _source(b) and _way(a) == _way(b) and a.asked.input != b.asked.input


def _feeding(contrast: Contrast) -> str:
    return (
        f"How {nouns.items()} are fed decides too: with the same features of {backbone_name(contrast.a.asked)}, "
        f"{_directly(contrast)}"
    )


def _source(run: RunSource) -> str:
    backbone = run.asked.model.backbone
    return json.dumps([backbone and backbone.as_json(), run.asked.from_], sort_keys=True)


def _way(run: RunSource) -> str:
    """What is taken and how: layer, pooling, strategy."""
    model = run.asked.model
    return json.dumps([model.layer, model.pool, run.asked.strategy], sort_keys=True)
