"""Metrics of the order in which probabilities put the images, and the curves behind them; ties count as ties."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from jobs.metrics.registry import metric
from jobs.statistics.predictions import Bools, Floats, Ints, Predictions, Weighted

CURVE_POINTS = 200


@dataclass(frozen=True)
class _Ranks:
    """One class against the rest: where each image stands among the m distinct scores of the positives, highest first.

    ``segments`` [3m + 1, n] adds up images: the positives of each score, the negatives of the same scores, and the negatives
    above the first, between two of them and below the last.
    """

    segments: Any
    m: int

    @staticmethod
    def of(scores: Floats, positive: Bools) -> _Ranks:
        from scipy.sparse import csr_array

        distinct = np.unique(scores[positive])[::-1]
        m = len(distinct)
        above = np.searchsorted(-distinct, -scores, side="left")  # how many distinct scores of positives are higher
        tied = np.append(distinct, np.nan)[above] == scores
        row = np.where(positive, above, np.where(tied, m + above, 2 * m + above))
        return _Ranks(csr_array((np.ones(len(scores)), (row, np.arange(len(scores)))), shape=(3 * m + 1, len(scores))), m)

    def counts(self, weights: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """At each distinct score of the positives: positives and negatives of it, negatives above ([m, b]); all negatives."""
        sums, m = np.asarray(self.segments @ weights), self.m
        positives, ties, between = sums[:m], sums[m : 2 * m], sums[2 * m :]
        higher = between[:m].copy()
        higher[1:] += ties[:-1]
        return positives, ties, np.cumsum(higher, axis=0), ties.sum(axis=0) + between.sum(axis=0)


def _counts_of(w: Weighted, number: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Of one class in all resamples, worked out once."""
    p, name = w.predictions, ("ranks", number)
    if name not in p.memo:
        p.memo[name] = _Ranks.of(p.probabilities[:, number], np.asarray(p.labels == number))
    if name not in w.memo:
        w.memo[name] = p.memo[name].counts(w.weights)
    return cast(tuple[Floats, Floats, Floats, Floats], w.memo[name])


def auc(w: Weighted, number: int) -> Floats:
    """[b] area under the ROC curve of one class: the share of right ordered pairs of it and another, ties half (Bamber 1975).

    NaN where a resample has no image of the class, or no other.
    """
    positives, ties, higher, negatives = _counts_of(w, number)
    right = (positives * (negatives - higher - ties / 2)).sum(axis=0)
    pairs = positives.sum(axis=0) * negatives
    return np.asarray(np.divide(right, pairs, out=np.full_like(right, np.nan), where=pairs > 0))


def mean_precision(w: Weighted, number: int) -> Floats:
    """[b] average precision of one class: the precision at the score of each of its images, averaged. NaN without images."""
    positives, ties, higher, _ = _counts_of(w, number)
    found = np.cumsum(positives, axis=0)
    taken = found + higher + ties
    precision = np.divide(found, taken, out=np.zeros_like(found), where=taken > 0)
    total = positives.sum(axis=0)
    summed = (positives * precision).sum(axis=0)
    return np.asarray(np.divide(summed, total, out=np.full_like(total, np.nan), where=total > 0))


Area = Callable[[Weighted, int], Floats]


def _over_classes(area: Area, w: Weighted) -> Floats:
    """Of the second class where there are two, else the mean over the classes where it is defined."""
    c = w.predictions.n_classes
    if c == 2:
        return area(w, 1)
    values = np.stack([area(w, number) for number in range(c)])
    there = ~np.isnan(values)
    count = there.sum(axis=0)
    total = np.where(there, values, 0.0).sum(axis=0)
    return np.asarray(np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0))


@metric("roc_auc", "ROC AUC")
def roc_auc(w: Weighted) -> Floats:
    return _over_classes(auc, w)


@metric("average_precision", "average precision")
def average_precision(w: Weighted) -> Floats:
    return _over_classes(mean_precision, w)


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
            roc.append({"class": classes[number], "auc": float(auc(once, number)[0]), **curve})
        if curve := precision_recall_curve(predictions, number):
            area = float(mean_precision(once, number)[0])
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
    """Positives and negatives at or above each distinct score, twice [t]."""
    scores, positive = predictions.probabilities[:, number], predictions.labels == number
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    tp = np.cumsum(positive[order])[ends].astype(np.float64)
    return tp, ends + 1 - tp


def _thinned(indices: Ints) -> Ints:
    """At most CURVE_POINTS of them, evenly, first and last kept."""
    if len(indices) <= CURVE_POINTS:
        return indices
    return indices[np.linspace(0, len(indices) - 1, CURVE_POINTS).round().astype(np.int64)]


def _rounded(values: Floats) -> list[float]:
    return [float(value) for value in np.round(values, 6)]
