"""The report of each class: recall and precision with intervals, F1, and how well it is told from the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jobs.metrics.classification import f1s
from jobs.metrics.ranking import auc, mean_precision
from jobs.statistics.predictions import Predictions
from jobs.statistics.shares import share


def class_report(predictions: Predictions, classes: Sequence[str]) -> list[dict[str, Any]]:
    """A row a class, in order. Values that are not defined (no images, nothing predicted, no others) are None."""
    once = predictions.ones()
    f1 = f1s(once)[:, 0]
    rows = []
    for number, name in enumerate(classes):
        truth, predicted = predictions.labels == number, predictions.predicted == number
        rows.append(
            {
                "class": name,
                "n": int(truth.sum()),
                "predicted": int(predicted.sum()),
                "right": int((truth & predicted).sum()),
                "recall": share(predictions.right[truth], predictions.groups[truth]).to_json(),
                "precision": share(predictions.right[predicted], predictions.groups[predicted]).to_json(),
                "f1": _number(float(f1[number])),
                "roc_auc": _number(float(auc(once, number)[0])),
                "average_precision": _number(float(mean_precision(once, number)[0])),
            }
        )
    return rows


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value
