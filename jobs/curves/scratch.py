"""What networks trained from random weights said of the test images, by number of labels and draw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.context import Context
from jobs.curves.labelled import Labelled
from tlbatch import nouns
from tlbatch.contracts.curve import CurveParams, CurveRun
from tlbatch.errors import DataError

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Scratch:
    """Beside a run's curve. ``predicted``: by the number of labels, rising, [draws, n] classes of the test images."""

    name: str
    draws: int
    predicted: Mapping[int, Ints]


def load_scratch(context: Context, params: CurveParams, labelled: Labelled) -> dict[str, Scratch]:
    """By run. Raises DataError for evaluations of other test images."""
    return {run.name: _of_run(context, run, labelled) for run in params.runs if run.scratch is not None}


def _of_run(context: Context, run: CurveRun, labelled: Labelled) -> Scratch:
    asked = run.scratch
    assert asked is not None
    predicted = {
        labels: _predicted(context.input(f"scratch:{run.name}:{labels}").read_json("predictions.json"), asked.draws, labelled)
        for labels in asked.labels
        if labels in labelled.labels
    }
    return Scratch(asked.name, asked.draws, predicted)


def _predicted(said: Mapping[str, Any], draws: int, labelled: Labelled) -> Ints:
    """[draws, n], in the order and the classes of ``labelled``."""
    rows = {id_: row for row, id_ in enumerate(said["ids"])}
    if any(entry.id not in rows for entry in labelled.test):
        raise DataError(f"the trainings from random weights were judged by other test {nouns.items()}: run the study again")
    place = np.array([labelled.classes.index(name) for name in said["classes"]], dtype=np.int64)
    order = [rows[entry.id] for entry in labelled.test]
    found = [np.asarray(said["probabilities"][str(draw)], dtype=np.float64).argmax(axis=1) for draw in range(draws)]
    return np.array([place[each][order] for each in found], dtype=np.int64)
