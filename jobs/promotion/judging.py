"""The two models' predictions on the pinned test set, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jobs.data.pins import FRESH_FILE, Pins
from jobs.statistics.predictions import Floats, Predictions
from tlbatch import nouns
from tlbatch.champions.judged import ENOUGH_FRESH
from tlbatch.errors import DataError
from tlbatch.store.artifacts import Artifact


@dataclass(frozen=True)
class Judged:
    """One model on the test set: ``predictions`` in the order of the pins and of their classes, ``metrics`` as evaluated."""

    predictions: Predictions
    metrics: dict[str, Any]


def judged(evaluation: Artifact, seed: int, pins: Pins, groups: Mapping[str, int]) -> Judged:
    """``groups``: id of a picture to its unit. Raises DataError where the evaluation is of other images."""
    said = evaluation.read_json("predictions.json")
    rows = {id_: row for row, id_ in enumerate(said["ids"])}
    ids = [pin.id for pin in pins.test]
    if set(rows) != set(ids):
        raise DataError(
            f"artifacts/evaluate/{evaluation.manifest.key[:12]} is of other {nouns.items()} than test set version "
            f"{pins.version}: run "
            "the schedule again"
        )
    place = {name: number for number, name in enumerate(pins.classes)}
    labels = np.array([place[pin.label] for pin in pins.test], dtype=np.int64)
    whole = np.asarray(said["probabilities"][str(seed)], dtype=np.float64)[[rows[id_] for id_ in ids]]
    found = Predictions(labels, _columns(whole, said["classes"], pins.classes), np.array([groups[id_] for id_ in ids]))
    return Judged(found, numbers(evaluation, seed))


def groups_of(evaluation: Artifact) -> dict[str, int]:
    """Id of a picture to the number of its unit: copies of one picture and images of one group are one."""
    said = evaluation.read_json("predictions.json")
    number: dict[str, int] = {}
    return {id_: number.setdefault(group, len(number)) for id_, group in zip(said["ids"], said["groups"], strict=True)}


def numbers(evaluation: Artifact, seed: int) -> dict[str, Any]:
    """{metric: {value, low, high}} of one seed."""
    metrics: dict[str, Any] = evaluation.read_json("metrics.json")["seeds"][str(seed)]
    return {name: {part: estimate.get(part) for part in ("value", "low", "high")} for name, estimate in sorted(metrics.items())}


def fresh_numbers(evaluation: Artifact, seed: int, pins: Pins) -> dict[str, Any] | None:
    """{images, enough, metrics: {metric: {value, low, high}}} on images that no decision consults; None without such."""
    if FRESH_FILE not in evaluation.manifest.files:
        return None
    said = evaluation.read_json(FRESH_FILE)
    metrics: dict[str, Any] = said["metrics"][str(seed)]
    kept = {name: {part: found.get(part) for part in ("value", "low", "high")} for name, found in sorted(metrics.items())}
    images = len(said["ids"])
    return {"images": images, "enough": images >= min(ENOUGH_FRESH, len(pins.test)), "metrics": kept}


def _columns(probabilities: Floats, known: Sequence[str], classes: Sequence[str]) -> Floats:
    """[n, len(classes)], 0 for a class that was not known."""
    place = {name: number for number, name in enumerate(known)}
    columns = [probabilities[:, place[name]] if name in place else np.zeros(len(probabilities)) for name in classes]
    return np.stack(columns, axis=1)
