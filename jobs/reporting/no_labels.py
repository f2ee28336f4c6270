"""What rows without labels are and say: the backbone's own head, descriptions of classes, and prompts to a CLIP network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jobs.reporting.formatting import backbone_name, listing, percent, recipe
from jobs.reporting.sources import RunSource
from tlbatch import nouns

TEXTS_SHOWN = 3


def without_labels(run: RunSource) -> str:
    """What was used without labels, in words."""
    return "prompts to its network" if run.asked.prompts else "the backbone's own head"


def described_sentences(runs: Sequence[RunSource]) -> list[str]:
    """What rows that know classes by their descriptions alone get right of these."""
    judged = [(run, run.metrics.get("described")) for run in runs]
    return [_described(run, found) for run, found in judged if found is not None and found["unseen"] is not None]


def _described(run: RunSource, found: Mapping[str, Any]) -> str:
    unseen, seen, both = (found[name] for name in ("unseen", "seen", "harmonic"))
    names, chance = found["classes"], found["chance"]
    prompted = bool(run.asked.prompts)
    described = "its description" if len(names) == 1 else "their descriptions"
    what = f"{listing(names)}, known by {'prompts' if prompted else described} alone"
    of = "on average " if len(names) > 1 else ""
    shown = "above" if unseen["low"] > chance else "not shown to be above"
    rest = ""
    if seen is not None:
        others = "the other classes" if prompted else "classes that it has outputs for"
        rest = f"; of {others} {percent(seen['value'])}, harmonic mean {_share(both)}"
    return (
        f"Without labels: {run.name} gets {of}{_share(unseen)} of the test {nouns.items()} of {what}, right, which is {shown} "
        f"chance ({percent(chance)}){rest}."
    )


def prompted_sentences(runs: Sequence[RunSource]) -> list[str]:
    """Which network read which texts, of rows whose classes are named by prompts."""
    return [_prompted(run) for run in runs if run.asked.prompts]


def _prompted(run: RunSource) -> str:
    backbone = run.asked.model.backbone
    weights = backbone.weights if backbone else None
    named = "" if weights is None else f", weights {weights.name or (weights.sha256 or '')[:12]}"
    name, texts = next(iter(run.asked.prompts.items()))
    said = ", ".join(f"“{text}”" for text in texts[:TEXTS_SHOWN]) + (", …" if len(texts) > TEXTS_SHOWN else "")
    return f"{run.name}: {recipe(run.asked)}, read by {backbone_name(run.asked)}{named}; {name}, for one, is {said}."


def _share(found: Mapping[str, Any]) -> str:
    return f"{percent(found['value'])} (95 % interval {percent(found['low'])} to {percent(found['high'])})"
