"""Metrics of the predicted class. Means over classes take those with test images; nothing predicted of a class: precision 0."""

from __future__ import annotations

import numpy as np

from jobs.metrics.registry import metric
from jobs.statistics.predictions import Floats, Ints, Predictions, Weighted


def confusion(predictions: Predictions) -> Ints:
    """[c, c] counts: row the truth, column the prediction."""
    c = predictions.n_classes
    flat = np.bincount(predictions.labels * c + predictions.predicted, minlength=c * c)
    return flat.reshape(c, c).astype(np.int64)


def recalls(w: Weighted) -> Floats:
    """[c, b]; NaN for a class without images."""
    return _ratio(w.right, w.support, np.nan)


def precisions(w: Weighted) -> Floats:
    """[c, b]; NaN for a class without images, 0 for one that is never predicted."""
    return np.where(w.support > 0, _ratio(w.right, w.predicted, 0.0), np.nan)


def f1s(w: Weighted) -> Floats:
    """[c, b] 2 right / (images + predicted); NaN for a class without images."""
    return np.where(w.support > 0, _ratio(2 * w.right, w.support + w.predicted, np.nan), np.nan)


@metric("accuracy", "accuracy")
def accuracy(w: Weighted) -> Floats:
    return np.asarray(w.right.sum(axis=0) / w.total)


@metric("balanced_accuracy", "balanced accuracy")
def balanced_accuracy(w: Weighted) -> Floats:
    """The mean recall of the classes."""
    return _macro(recalls(w))


@metric("macro_precision", "macro precision")
def macro_precision(w: Weighted) -> Floats:
    return _macro(precisions(w))


@metric("macro_recall", "macro recall")
def macro_recall(w: Weighted) -> Floats:
    return _macro(recalls(w))


@metric("macro_f1", "macro F1")
def macro_f1(w: Weighted) -> Floats:
    return _macro(f1s(w))


@metric("weighted_precision", "weighted precision")
def weighted_precision(w: Weighted) -> Floats:
    return _by_support(precisions(w), w)


@metric("weighted_recall", "weighted recall")
def weighted_recall(w: Weighted) -> Floats:
    return _by_support(recalls(w), w)


@metric("weighted_f1", "weighted F1")
def weighted_f1(w: Weighted) -> Floats:
    return _by_support(f1s(w), w)


def _ratio(above: Floats, below: Floats, otherwise: float) -> Floats:
    return np.divide(above, below, out=np.full_like(above, otherwise), where=below > 0)


def _macro(values: Floats) -> Floats:
    there = ~np.isnan(values)
    return np.asarray(np.where(there, values, 0.0).sum(axis=0) / there.sum(axis=0))


def _by_support(values: Floats, w: Weighted) -> Floats:
    return np.asarray((np.where(np.isnan(values), 0.0, values) * w.support).sum(axis=0) / w.total)
