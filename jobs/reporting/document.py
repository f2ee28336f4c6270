"""``report.json``: the whole report as data (schema: ``report.schema.json``). The terminal's table comes from it alone."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from jobs.data.index import load_index
from jobs.reporting import tasks
from jobs.reporting.adaptation import rows_of
from jobs.reporting.analysis import Analysis
from jobs.reporting.cautions import mismatch_of
from jobs.reporting.contrasts import Contrast
from jobs.reporting.curves import SERIES, Curves
from jobs.reporting.formatting import recipe
from jobs.reporting.lineage import versions_of
from jobs.reporting.pinned import Pinned, decision_of
from jobs.reporting.sentences import contrast_sentence
from jobs.reporting.sources import RunSource
from jobs.reporting.tables import values_of
from jobs.reporting.validation import standing
from jobs.reporting.views.dataset import study_split

FORMAT = 1


def build_document(analysis: Analysis) -> dict[str, Any]:
    """JSON values only, no NaN."""
    params, findings = analysis.sources.params, analysis.findings
    table, contrasts = analysis.whole or (analysis.table, analysis.contrasts)
    document = {
        "format": FORMAT,
        "study": params.study,
        "description": params.description,
        "verdict": findings.verdict,
        "first_sentence": findings.first_sentence,
        "sentences": list(findings.sentences),
        "warnings": list(analysis.warnings),
        "best_run": findings.best.name if findings.best else None,
        "beats_no_labels": findings.beats_no_labels,
        "table": table.document(),
        "contrasts": [_contrast(contrast) for contrast in contrasts],
        **({"task": params.task, "gains": tasks.rows_of(analysis.gains)} if params.task else {}),
        **({"adaptation": rows} if (rows := [row for each in analysis.adaptations for row in rows_of(each)]) else {}),
        "runs": [_run(run, analysis.curves.get(run.name)) for run in analysis.sources.runs],
        "data": _data(analysis),
        "tasks": [record.document() for record in analysis.records],
        "versions": versions_of(list(analysis.records)),
        "document": params.document,
        **_defended(analysis),
        **({"labels": curve} if (curve := analysis.sources.curve) else {}),
        **({"episodes": episodes} if (episodes := analysis.sources.episodes) else {}),
    }
    cleaned = finite(document)
    assert isinstance(cleaned, dict)
    return cleaned


def _defended(analysis: Analysis) -> dict[str, Any]:
    """Of a schedule's firing: the test set it holds on to, and what was decided about the champion."""
    pinned, decision = Pinned.of(analysis.sources), decision_of(analysis.sources)
    if pinned is None:
        return {}
    split = study_split(analysis.sources, load_index(analysis.sources.dataset))
    return {"pinned": pinned.document(split), "decision": decision}


def _contrast(contrast: Contrast) -> dict[str, Any]:
    return {
        "a": contrast.a.name,
        "b": contrast.b.name,
        "kinds": list(contrast.kinds),
        "verdict": contrast.verdict,
        "sentence": contrast_sentence(contrast),
        "p_adjusted": contrast.p_adjusted,
        "test": contrast.accuracy.test,
        "accuracy": contrast.accuracy.to_json(),
        "macro_f1": asdict(contrast.macro_f1),
    }


def _run(run: RunSource, curves: Curves | None) -> dict[str, Any]:
    validated, chance = standing(run), run.above_chance
    return {
        "name": run.name,
        "role": run.role,
        "recipe": recipe(run.asked),
        "pretrained": run.asked.pretrained,
        "seeds": run.seeds,
        "deterministic": run.deterministic,
        "test_images": len(run.labels),
        "above_chance": asdict(chance) | {"shown": chance.shown},
        "validation": {
            "accuracy": validated.accuracy,
            "log_loss": validated.loss,
            **({"elsewhere": list(validated.elsewhere)} if validated.elsewhere else {}),
        },
        **values_of(run),
        "by_seed": run.metrics.get("seeds", {}),
        "curves": _curves(curves) if curves else None,
        "input": run.asked.input,
        "mismatch": mismatch_of(run),
        "digest": run.evaluate.digest,
    }


def _curves(curves: Curves) -> dict[str, Any]:
    return {
        "sentence": curves.sentence,
        "overfits_from": curves.overfits_from,
        "gap": curves.gap,
        "selected_epochs": list(curves.selected),
        "mean": {name: [round(float(value), 6) for value in curves.mean(name)] for name in SERIES},
    }


def _data(analysis: Analysis) -> dict[str, Any]:
    data, params = analysis.data, analysis.sources.params
    return {
        "classes": analysis.sources.classes,
        "counts": data.counts,
        "empty_classes": data.empty,
        "split": params.as_json()["split"],
        "bad": data.bad,
        "exact_duplicates": len(data.exact),
        "near_duplicates": len(data.near),
        "conflicting_labels": data.conflicting,
        "corrections": params.corrections,
        "seen": params.seen,
        **({"sources": sources} if (sources := analysis.sources.learnt_from) else {}),
    }


def finite(value: Any) -> Any:
    """NaN and infinity become null: JSON has neither."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
