"""What models say about a schedule's fresh images, which judge before they train: ``fresh.json`` (its shape: jobs.evaluate)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from jobs.context import Context
from jobs.data.index import IndexEntry
from jobs.data.pins import FRESH_FILE
from jobs.evaluation.images import Dataset
from jobs.metrics.calibration import softmax
from jobs.metrics.summary import summarise
from jobs.statistics.predictions import Floats, Predictions
from tlbatch.store.artifacts import Artifact

METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss")


def fresh_of(dataset: Dataset) -> Dataset | None:
    """The dataset as if its fresh images were the test images; None where there are none."""
    fresh = dataset.split.fresh
    return Dataset(dataset.artifact, replace(dataset.split, test=fresh), dataset.classes) if fresh else None


def mean_probabilities(logits: Sequence[Floats]) -> Floats:
    """[n, c] the mean over a seed's folds."""
    return np.asarray(np.mean([softmax(one) for one in logits], axis=0))


def write_fresh(context: Context, fresh: Dataset, said: Mapping[str, Floats]) -> None:
    """``said``: seed -> probabilities [n, c]."""
    predictions = {seed: Predictions(fresh.labels, p, fresh.groups) for seed, p in said.items()}
    summary = summarise(predictions, names=METRICS).to_json()
    context.write_json(
        FRESH_FILE,
        {
            "ids": [entry.id for entry in fresh.test],
            "labels": fresh.labels.tolist(),
            "groups": fresh.groups.tolist(),
            "classes": list(fresh.classes),
            "probabilities": {seed: p.tolist() for seed, p in said.items()},
            "metrics": summary["seeds"],
        },
    )


def said_before(earlier: Artifact, seed: int, classes: Sequence[str], entries: Sequence[IndexEntry]) -> dict[str, list[float]]:
    """Id -> probabilities of what an earlier evaluation of the same model has said of these images already."""
    found: dict[str, list[float]] = {}
    for name in ("predictions.json", FRESH_FILE):
        if name not in earlier.manifest.files:
            continue
        document: dict[str, Any] = earlier.read_json(name)
        if list(document["classes"]) == list(classes) and str(seed) in document["probabilities"]:
            found |= dict(zip(document["ids"], document["probabilities"][str(seed)], strict=True))
    return {entry.id: found[entry.id] for entry in entries if entry.id in found}
