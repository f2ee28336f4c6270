"""Labels judged by a run's own models, where they have not learnt them: no regression, no forward pass more."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from jobs.evaluation.images import Dataset
from jobs.evaluation.label_errors import Judgement
from jobs.evaluation.outputs import Models, validation_of
from jobs.evaluation.scores import ScoredOutputs
from jobs.metrics.calibration import softmax
from jobs.metrics.label_errors import odds_of
from jobs.statistics.predictions import Floats
from tlbatch import nouns


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
    return Judgement(images, odds_of(np.array(everything), dataset.labels_of(tuple(entry for entry, _ in images))), method)
