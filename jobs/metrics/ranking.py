"""Metrics of the order in which probabilities put the images, and the curves behind them; ties count as ties."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from jobs.metrics.predictions import Bools, Floats, Ints, Predictions, Weighted
from jobs.metrics.registry import metric

CURVE_POINTS = 200


@dataclass(frozen=True)
class _Order:
    """Images by falling score: ``order`` [n]; ``ends`` [t] is the last place of each run of equal scores."""

    order: Ints
    ends: Ints
    positive: Bools  #: [n], in that order

    @staticmethod
    def of(scores: Floats, positive: Bools) -> _Order:
        order = np.argsort(-scores, kind="stable")
        ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
        return _Order(order, ends, positive[order])

    def counts(self, weights: Floats) -> tuple[Floats, Floats]:
        """Positives and negatives at or above each distinct score: twice [b, t]."""
        sorted_weights = weights[:, self.order]
        positives = np.cumsum(sorted_weights * self.positive, axis=1)[:, self.ends]
        return positives, np.cumsum(sorted_weights, axis=1)[:, self.ends] - positives


def auc(scores: Floats, positive: Bools, weights: Floats) -> Floats:
    """[b] area under the ROC curve: the share of right ordered pairs of a positive and a negative, ties half (Bamber 1975).

    NaN where a resample has no positives or no negatives.
    """
    tp, fp = _Order.of(scores, positive).counts(weights)
    tp, fp = (np.concatenate([np.zeros((len(weights), 1)), part], axis=1) for part in (tp, fp))
    area = (np.diff(fp, axis=1) * (tp[:, 1:] + tp[:, :-1]) / 2).sum(axis=1)
    pairs = tp[:, -1] * fp[:, -1]
    return np.asarray(np.divide(area, pairs, out=np.full(len(weights), np.nan), where=pairs > 0))


def precision_at_recalls(scores: Floats, positive: Bools, weights: Floats) -> Floats:
    """[b] average precision: sum of (recall step) x (precision there) over distinct scores. NaN without positives."""
    tp, fp = _Order.of(scores, positive).counts(weights)
    precision = np.divide(tp, tp + fp, out=np.zeros_like(tp), where=tp + fp > 0)
    area = (np.diff(tp, axis=1, prepend=0.0) * precision).sum(axis=1)
    return np.asarray(np.divide(area, tp[:, -1], out=np.full(len(weights), np.nan), where=tp[:, -1] > 0))


Area = Callable[[Floats, Bools, Floats], Floats]


def one_class(area: Area, w: Weighted, number: int) -> Floats:
    """[b] ``area`` of one class against the rest."""
    p = w.predictions
    return area(p.probabilities[:, number], np.asarray(p.labels == number), w.weights)


def _over_classes(area: Area, w: Weighted) -> Floats:
    """Of the second class where there are two, else the mean over the classes where it is defined."""
    c = w.predictions.n_classes
    if c == 2:
        return one_class(area, w, 1)
    values = np.stack([one_class(area, w, number) for number in range(c)])
    there = ~np.isnan(values)
    count = there.sum(axis=0)
    total = np.where(there, values, 0.0).sum(axis=0)
    return np.asarray(np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0))


@metric("roc_auc", "ROC AUC")
def roc_auc(w: Weighted) -> Floats:
    return _over_classes(auc, w)


@metric("average_precision", "average precision")
def average_precision(w: Weighted) -> Floats:
    return _over_classes(precision_at_recalls, w)


def roc_curve(predictions: Predictions, number: int) -> dict[str, list[float]] | None:
    """``fpr`` and ``tpr`` from (0, 0) to (1, 1) for one class against the rest; None where it has no positives or negatives."""
    tp, fp = _counts(predictions, number)
    if tp[-1] == 0 or fp[-1] == 0:
        return None
    fp, tp = np.append(0.0, fp), np.append(0.0, tp)
    turns = (np.diff(fp, 2) != 0) | (np.diff(tp, 2) != 0)
    kept = _thinned(np.flatnonzero(np.concatenate([[True], turns, [True]])))
    return {"fpr": _rounded(fp[kept] / fp[-1]), "tpr": _rounded(tp[kept] / tp[-1])}


def precision_recall_curve(predictions: Predictions, number: int) -> dict[str, list[float]] | None:
    """``recall`` rising to 1 with ``precision`` at each; None where the class has no images."""
    tp, fp = _counts(predictions, number)
    if tp[-1] == 0:
        return None
    last = int(np.argmax(tp == tp[-1])) + 1  # further down, recall stays 1
    kept = _thinned(np.arange(last))
    recall, precision = tp[kept] / tp[-1], tp[kept] / (tp[kept] + fp[kept])
    return {"recall": _rounded(recall), "precision": _rounded(precision)}


def curves(predictions: Predictions, classes: list[str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """ROC and precision-recall curves: the second class alone where there are two, else macro ROC and every class."""
    numbers = [1] if len(classes) == 2 else list(range(len(classes)))
    once = predictions.ones()
    roc, pr = [], []
    for number in numbers:
        if curve := roc_curve(predictions, number):
            roc.append({"class": classes[number], "auc": float(one_class(auc, once, number)[0]), **curve})
        if curve := precision_recall_curve(predictions, number):
            area = float(one_class(precision_at_recalls, once, number)[0])
            pr.append({"class": classes[number], "average_precision": area, **curve})
    if len(numbers) > 1 and roc:
        roc.insert(0, _macro(roc))
    return roc, pr


def _macro(roc: list[dict[str, Any]]) -> dict[str, Any]:
    """The mean of the classes' curves at equal false positive rates."""
    grid = np.linspace(0.0, 1.0, 101)
    tpr = np.mean([np.interp(grid, curve["fpr"], curve["tpr"]) for curve in roc], axis=0)
    area = float(np.mean([curve["auc"] for curve in roc]))
    return {"class": None, "auc": area, "fpr": _rounded(np.append(0.0, grid)), "tpr": _rounded(np.append(0.0, tpr))}


def _counts(predictions: Predictions, number: int) -> tuple[Floats, Floats]:
    order = _Order.of(predictions.probabilities[:, number], np.asarray(predictions.labels == number))
    tp, fp = order.counts(np.ones((1, predictions.n)))
    return tp[0], fp[0]


def _thinned(indices: Ints) -> Ints:
    """At most CURVE_POINTS of them, evenly, first and last kept."""
    if len(indices) <= CURVE_POINTS:
        return indices
    return indices[np.linspace(0, len(indices) - 1, CURVE_POINTS).round().astype(np.int64)]


def _rounded(values: Floats) -> list[float]:
    return [float(value) for value in np.round(values, 6)]
