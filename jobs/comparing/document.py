"""The comparison as data: what the terminal, CSV and Markdown are made from."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from jobs.comparing.analysis import Changes, Comparison
from jobs.comparing.images import KINDS, ImageChange
from jobs.comparing.pairs import Pair
from jobs.comparing.sentences import untested
from jobs.comparing.sides import Side
from jobs.data.index import IndexEntry
from jobs.reporting.contrasts import Contrast
from jobs.reporting.curves import SERIES, curves_of
from jobs.reporting.document import finite
from jobs.reporting.formatting import recipe
from jobs.reporting.sentences import contrast_sentence
from jobs.reporting.sources import RunSource
from jobs.reporting.tables import build_table, values_of
from jobs.reporting.validation import standing
from tlbatch.kinds import kind_field

FORMAT = 1


def build_document(comparison: Comparison) -> dict[str, Any]:
    """JSON values only, no NaN."""
    document = {
        "format": FORMAT,
        "sentences": list(comparison.sentences),
        "executions": [_side(side) for side in comparison.sides],
        "table": build_table(ordered_runs(comparison)).document(),
        "pairs": [_pair(pair) for pair in comparison.pairs],
        "changes": [_changes(comparison.first, changes) for changes in comparison.changes],
        **kind_field(comparison.first.sources.kind),
    }
    cleaned = finite(document)
    assert isinstance(cleaned, dict)
    return cleaned


def ordered_runs(comparison: Comparison) -> list[RunSource]:
    """All runs, those of one name under each other, in the order in which the names come."""
    named = [(side.own_name(run), run) for side in comparison.sides for run in side.sources.runs]
    names = list(dict.fromkeys(name for name, _ in named))
    return [run for _, run in sorted(named, key=lambda item: names.index(item[0]))]


def _side(side: Side) -> dict[str, Any]:
    return {
        "letter": side.letter,
        "execution": side.execution.id,
        "store": side.execution.store.url,
        "study": side.study,
        "ended": side.ended,
        "best_run": side.own_name(side.best) if side.best else None,
        "classes": side.sources.classes,
        "images": len(side.entries),
        "dataset_digest": side.sources.dataset.digest,
        "runs": [_run(side, run) for run in side.sources.runs],
    }


def _run(side: Side, run: RunSource) -> dict[str, Any]:
    curves, validated = curves_of(list(run.histories.values())), standing(run)
    mean = {name: [round(float(value), 6) for value in curves.mean(name)] for name in SERIES} if curves else None
    return {
        "name": side.own_name(run),
        "role": run.role,
        "recipe": recipe(run.asked),
        "seeds": run.seeds,
        "deterministic": run.deterministic,
        "test_images": len(run.labels),
        "above_chance": asdict(run.above_chance) | {"shown": run.above_chance.shown},
        "validation": {"accuracy": validated.accuracy, "loss": validated.loss},
        **values_of(run),
        "curves": mean,
        "digest": run.evaluate.digest,
    }


def _pair(pair: Pair) -> dict[str, Any]:
    common = pair.common
    return {
        "a": pair.a.name,
        "b": pair.b.name,
        "kinds": list(pair.kinds),
        "common_images": common.images,
        "only_a": common.only_a,
        "only_b": common.only_b,
        "relabelled": common.relabelled,
        "same_test_images": common.whole,
        "same_evaluation": pair.same,
        "right_a": pair.right_a,
        "right_b": pair.right_b,
        "sentence": pair_sentence(pair),
        **(_contrast(pair.contrast) if pair.contrast else {"verdict": None}),
    }


def pair_sentence(pair: Pair) -> str:
    if pair.contrast is None:
        return f"{pair.a.name} and {pair.b.name}: {untested(pair)}."
    return contrast_sentence(pair.contrast)


def _contrast(contrast: Contrast) -> dict[str, Any]:
    return {
        "verdict": contrast.verdict,
        "p_adjusted": contrast.p_adjusted,
        "test": contrast.accuracy.test,
        "accuracy": contrast.accuracy.to_json(),
        "macro_f1": asdict(contrast.macro_f1),
    }


def _changes(first: Side, changes: Changes) -> dict[str, Any]:
    return {
        "from": first.letter,
        "to": changes.side.letter,
        "study": [asdict(change) for change in changes.study],
        "versions": {name: list(pair) for name, pair in changes.versions.items()},
        "same_data": changes.same_data,
        "parts": [{"from": before, "to": after, "images": n} for (before, after), n in changes.parted.items()],
        "images": {kind: [_image(first, changes.side, c) for c in changes.images if c.kind == kind] for kind in KINDS},
    }


def _image(first: Side, other: Side, change: ImageChange) -> dict[str, Any]:
    why = (
        other.bad.get(change.path, "") if change.after is None else first.bad.get(change.path, "") if not change.before else ""
    )
    found: dict[str, Any] = {"path": change.path, "before": _entry(first, change.before), "after": _entry(other, change.after)}
    return {**found, "why": why} if why else found


def _entry(side: Side, entry: IndexEntry | None) -> dict[str, Any] | None:
    """``part`` is null where the image was in no part: more than was asked for, or a copy of a pinned one."""
    if entry is None:
        return None
    return {"id": entry.id, "path": entry.path, "label": entry.label, "part": side.parts.get((entry.id, entry.path))}
