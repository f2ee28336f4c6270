"""``summary.json`` and ``bad.jsonl``: written by whoever finds all parts done. No times, hosts or URLs: equal bytes again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from jobs.prediction.networks import Model
from tlbatch import nouns
from tlbatch.contracts.prediction import PredictParams
from tlbatch.prediction.parts import BAD, SUMMARY, Part, PartRecord, written_parts
from tlbatch.store import Store
from tlbatch.store.housekeeping import tidy

SUMMARY_FORMAT = 1


def write_summary(
    out: Store, params: PredictParams, model: Model, parts: Sequence[Part], done: Mapping[int, PartRecord]
) -> dict[str, Any]:
    """Write both, drop what an earlier, longer listing left, and return the summary. Twice writes the same."""
    records = [done[part.number] for part in parts]
    wanted = {name for part in parts for name in (part.name, part.record)}
    otherwise = f"so that predictions of {nouns.contents()} that are gone stay beside these ({SUMMARY} names those that count)"
    tidy(out, lambda: [name for name in written_parts(out) if name not in wanted], otherwise)
    bad = [line for record in records for line in record.bad]
    out.put(BAD, "".join(json.dumps(line, ensure_ascii=False, sort_keys=True) + "\n" for line in bad).encode())
    summary = describe(params, model, records)
    out.put(SUMMARY, (json.dumps(summary, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode())
    return summary


def describe(params: PredictParams, model: Model, records: Sequence[PartRecord]) -> dict[str, Any]:
    """The summary's document. Pure."""
    scaled = None if params.raw else model.temperature.value
    return {
        "summary_format": SUMMARY_FORMAT,
        "model": params.identity,
        "classes": model.classes,
        "images": sum(record.images for record in records),
        "bad": sum(len(record.bad) for record in records),
        "counts": {name: sum(record.counts.get(name, 0) for record in records) for name in model.classes},
        "temperature": scaled,
        "probabilities": _probabilities(model, raw=params.raw),
        "precision": model.precision,
        "folds": model.folds,
        "format": params.format,
        "chunk": params.chunk,
        "parts": [
            {"file": record.file, "images": record.images, "size": record.size, "sha256": record.sha256} for record in records
        ],
    }


def _probabilities(model: Model, *, raw: bool) -> str:
    over = f"the mean over {model.folds} folds, " if model.folds > 1 else ""
    if raw:
        return f"{over}as the model puts them out, not scaled: --raw"
    if model.temperature.value is None:
        return f"{over}as the model puts them out, not scaled: {model.temperature.why}"
    return f"{over}scaled by the model's temperature, {model.temperature.value:g} ({model.temperature.why})"
