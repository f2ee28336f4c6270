"""``suspects.json``: which labels are probably wrong, by models that have not seen the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jobs.context import Context
from jobs.data.features import load_features
from jobs.data.index import IndexEntry, by_content
from jobs.evaluation.images import Dataset, unit_numbers
from jobs.evaluation.outputs import Models, validation_of
from jobs.evaluation.scores import ScoredOutputs
from jobs.metrics.calibration import softmax
from jobs.metrics.label_errors import out_of_fold, rank
from jobs.statistics.predictions import Floats
from tlbatch import nouns

Judged = Sequence[tuple[IndexEntry, str]]  #: image, and the part it is in


@dataclass(frozen=True)
class Judgement:
    """Probabilities [n, c] for ``images``, each from a model that has not seen it; ``method`` says which."""

    images: Judged
    probabilities: Floats
    method: str


def judge_by_features(context: Context, dataset: Dataset) -> Judgement:
    """Logistic regressions on the cached features of all images of the study, out of fold."""
    split = dataset.split
    parts = (("train", split.train), ("validation", split.validation), ("test", split.test))
    images = sorted(((entry, part) for part, entries in parts for entry in entries), key=lambda image: by_content(image[0]))
    entries = tuple(entry for entry, _ in images)
    features = load_features(context.input("features"), [entry.id for entry in entries])

    def tick(done: int, total: int) -> None:
        context.check_stop()
        context.progress(done, total, "fits", "looking for wrong labels")

    labels = dataset.labels_of(entries)
    p = out_of_fold(features, labels, len(dataset.classes), unit_numbers(entries), tick=tick)
    return Judgement(images, p, "logistic regressions on the cached features, out of fold, copies and groups kept together")


def judge_by_models(dataset: Dataset, models: Models, said: Mapping[str, ScoredOutputs]) -> Judgement:
    """The run's own models, on the images they were not trained on: validation images (held-out folds) and test images.

    Probabilities are the mean over seeds, each after temperature scaling where it has a temperature.
    """
    known = {entry.id: entry for entry in reversed((*dataset.split.train, *dataset.split.validation))}
    place: dict[str, list[Floats]] = {}
    for seed, folds in models.items():
        ids, _, logits = validation_of(folds, dataset.classes)
        for id_, p in zip(ids, softmax(logits, said[str(seed)].temperature.value or 1.0), strict=True):
            place.setdefault(id_, []).append(p)
    held_out = "train" if dataset.split.folds else "validation"
    validation = [(known[id_], held_out) for id_ in sorted(place) if id_ in known]
    test = [(one.calibrated or one.predictions).probabilities for one in said.values()]
    probabilities = [np.mean(place[entry.id], axis=0) for entry, _ in validation]
    everything = [*probabilities, *np.mean(test, axis=0)]
    images = [*validation, *((entry, "test") for entry in dataset.test)]
    method = f"the run's own models, on {nouns.items()} they were not trained on"
    return Judgement(images, np.array(everything), method)


def judge_without_labels(dataset: Dataset, said: ScoredOutputs) -> Judgement:
    """The pretrained network, which has seen none of the labels; on the test images."""
    images = [(entry, "test") for entry in dataset.test]
    return Judgement(images, said.predictions.probabilities, "the pretrained network's own outputs, which saw no labels")


def suspects_documents(dataset: Dataset, judgement: Judgement) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """``suspects.json``, and what ``metrics.json`` says of it."""
    labels = dataset.labels_of(tuple(entry for entry, _ in judgement.images))
    rows = []
    for number, suspect in enumerate(rank(judgement.probabilities, labels)):
        entry, part = judgement.images[suspect.place]
        rows.append(
            {
                "rank": number + 1,
                "id": entry.id,
                "path": entry.path,
                "label": entry.label,
                "predicted": dataset.classes[suspect.other],
                "p_label": suspect.p_label,
                "p_predicted": suspect.p_other,
                "margin": suspect.margin,
                "part": part,
            }
        )
    found = int((judgement.probabilities.argmax(axis=1) != labels).sum())
    parts = [part for part in ("train", "validation", "test") if any(own == part for _, own in judgement.images)]
    return rows, {"method": judgement.method, "judged": len(labels), "parts": parts, "found": found}
