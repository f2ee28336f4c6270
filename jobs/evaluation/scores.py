"""The document ``metrics.json`` from what the models said (its shape: jobs.evaluate)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jobs.finite import finite
from jobs.metrics.calibration import Temperature, fit_temperature, reliability, softmax
from jobs.metrics.classification import confusion
from jobs.metrics.coverage import coverage_curve
from jobs.metrics.per_class import class_report
from jobs.metrics.ranking import curves
from jobs.metrics.registry import metrics_with
from jobs.metrics.summary import summarise
from jobs.statistics.predictions import Floats, Ints, Predictions
from jobs.statistics.shares import LEVEL
from tlbatch import nouns

CALIBRATED = ("log_loss", "brier", "ece")
DIGITS = 9


@dataclass(frozen=True)
class ScoredOutputs:
    """What a seed's models said about the test images, as written; ``calibrated`` after temperature scaling."""

    predictions: Predictions
    calibrated: Predictions | None
    temperature: Temperature
    validation: dict[str, Any] | None


def written(probabilities: Floats) -> Floats:
    """As the files have them, at nine significant digits: every metric can be computed again from the files."""
    rows = [[float(f"{value:.{DIGITS}g}") for value in row] for row in finite(probabilities, "probabilities").tolist()]
    return np.array(rows, dtype=np.float64).reshape(probabilities.shape)


def said_by_trained(logits: Sequence[Floats], validation: tuple[Ints, Floats], labels: Ints, groups: Ints) -> ScoredOutputs:
    """Of one seed: the mean probability of its folds' models; one temperature for all, from all validation images."""
    val_labels, val_logits = validation
    temperature = fit_temperature(val_logits, val_labels)
    mean = np.mean([softmax(one) for one in logits], axis=0)
    calibrated = None
    if temperature.value is not None:
        scaled = np.mean([softmax(one, temperature.value) for one in logits], axis=0)
        calibrated = Predictions(labels, scaled, groups)
    chosen = None
    if len(val_labels):
        chosen = Predictions(val_labels, softmax(val_logits), np.arange(len(val_labels)))
        chosen_document = {
            "accuracy": float(chosen.right.mean()),
            "log_loss": float(chosen.log_losses.mean()),
            "n": chosen.n,
        }
    return ScoredOutputs(
        Predictions(labels, written(mean), groups), calibrated, temperature, chosen_document if chosen else None
    )


def metrics_document(said: Mapping[str, ScoredOutputs], classes: Sequence[str], added: Sequence[str] = ()) -> dict[str, Any]:
    """All of ``metrics.json`` but ``suspects``. ``added``: metrics of plug-ins."""
    first = next(iter(said.values()))
    predictions = {seed: one.predictions for seed, one in said.items()}
    summary = summarise(predictions, added=added)
    document = {**summary.to_json(), "metrics": _described(first, added)}
    _add_calibrated(document, said)
    roc, precision_recall = curves(first.predictions, list(classes))
    calibration = {seed: _calibration(one) for seed, one in said.items()}
    confusions = {seed: confusion(one).tolist() for seed, one in predictions.items()}
    return {
        **document,
        "n": first.predictions.n,
        "groups": len(np.unique(first.predictions.groups)),
        "classes": list(classes),
        "counts": np.bincount(first.predictions.labels, minlength=len(classes)).tolist(),
        "confusion": next(iter(confusions.values())),
        "confusions": confusions,
        "per_class": class_report(first.predictions, classes),
        "temperature": first.temperature.value,
        "calibration": calibration,
        "reliability": next(iter(calibration.values()))["before"],
        "coverage": {seed: coverage_curve(one) for seed, one in predictions.items()},
        "roc": roc,
        "precision_recall": precision_recall,
        "validation": {seed: one.validation for seed, one in said.items() if one.validation},
        "bootstrap": {"resamples": summary.resamples, "level": LEVEL, "method": _method(first.predictions)},
    }


def _described(first: ScoredOutputs, added: Sequence[str]) -> dict[str, Any]:
    described = {name: {"title": metric.title, "better": metric.better} for name, metric in metrics_with(added).items()}
    if first.calibrated is not None:
        for name in CALIBRATED:
            title = f"{described[name]['title']} after temperature scaling"
            described[f"{name}_calibrated"] = {"title": title, "better": described[name]["better"]}
    return {name: {**one, "order": order} for order, (name, one) in enumerate(described.items())}


def _add_calibrated(document: dict[str, Any], said: Mapping[str, ScoredOutputs]) -> None:
    """``log_loss_calibrated`` and its like, where every seed has a temperature."""
    calibrated = {seed: one.calibrated for seed, one in said.items() if one.calibrated is not None}
    if len(calibrated) < len(said):
        return
    found = summarise(calibrated, names=CALIBRATED).to_json()
    for name in CALIBRATED:
        document["mean"][f"{name}_calibrated"] = found["mean"][name]
        for seed in said:
            document["seeds"][seed][f"{name}_calibrated"] = found["seeds"][seed][name]


def _calibration(said: ScoredOutputs) -> dict[str, Any]:
    return {
        "temperature": said.temperature.value,
        "why": said.temperature.why,
        "before": reliability(said.predictions),
        "after": reliability(said.calibrated) if said.calibrated is not None else None,
    }


def _method(predictions: Predictions) -> str:
    units = len(np.unique(predictions.groups))
    what = (
        nouns.items()
        if units == predictions.n
        else f"units (copies of a {nouns.content()} and {nouns.items()} of a group together: {units})"
    )
    return f"percentiles of resamples of the test set's {what}, drawn with replacement within each class"
