"""Which test images are shown: the surest mistakes, and right predictions of every class. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jobs.statistics.predictions import Predictions

ERRORS, SAMPLES = 24, 12


def surest_errors(predictions: Predictions, count: int = ERRORS) -> list[int]:
    """Places of wrong predictions, the most confident first; a unit of alike images is shown once."""
    order = np.argsort(-predictions.confidence, kind="stable")
    return _one_a_group(predictions, [int(i) for i in order if not predictions.right[i]])[:count]


def right_samples(predictions: Predictions, ids: Sequence[str], count: int = SAMPLES) -> list[int]:
    """Places of right predictions, the classes in turn; within a class by content hash, so at random but always the same."""
    by_id = sorted(range(predictions.n), key=lambda i: ids[i])
    right = _one_a_group(predictions, [i for i in by_id if predictions.right[i]])
    queues = [[i for i in right if predictions.labels[i] == label] for label in range(predictions.n_classes)]
    turns = [queue[turn] for turn in range(count) for queue in queues if turn < len(queue)]
    return turns[:count]


def _one_a_group(predictions: Predictions, places: list[int]) -> list[int]:
    first: dict[int, int] = {}
    for place in places:
        first.setdefault(int(predictions.groups[place]), place)
    return list(first.values())
