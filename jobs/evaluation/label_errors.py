"""``suspects.json``: which labels are probably wrong, by models that have not seen the images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jobs.context import Context
from jobs.data.features import load_features
from jobs.data.index import IndexEntry, by_content
from jobs.evaluation.images import Dataset, unit_numbers
from jobs.evaluation.scores import ScoredOutputs
from jobs.metrics.label_errors import Odds, odds_of, out_of_fold, rank

Judged = Sequence[tuple[IndexEntry, str]]  #: image, and the part it is in


@dataclass(frozen=True)
class Judgement:
    """The odds of ``images``, each by a model that has not seen it; ``method`` says which."""

    images: Judged
    odds: Odds
    method: str


def judge_by_features(context: Context, dataset: Dataset, role: str) -> Judgement:
    """Logistic regressions on the cached features (input ``role``) of all images of the study, out of fold."""
    split = dataset.split
    parts = (("train", split.train), ("validation", split.validation), ("test", split.test))
    images = sorted(((entry, part) for part, entries in parts for entry in entries), key=lambda image: by_content(image[0]))
    entries = tuple(entry for entry, _ in images)
    features = load_features(context.input(role), [entry.id for entry in entries])

    def tick(done: int, total: int) -> None:
        context.check_stop()
        context.progress(done, total, "fits", "looking for wrong labels")

    labels = dataset.labels_of(entries)
    odds = out_of_fold(features, labels, len(dataset.classes), unit_numbers(entries), tick=tick)
    method = "logistic regressions on the cached features, out of fold, copies and groups kept together"
    return Judgement(images, odds, "; ".join(filter(None, [method, odds.stopped_early])))


def judge_without_labels(dataset: Dataset, said: ScoredOutputs) -> Judgement:
    """The pretrained network, which has seen none of the labels; on the test images."""
    images = [(entry, "test") for entry in dataset.test]
    odds = odds_of(said.predictions.probabilities, dataset.labels)
    return Judgement(images, odds, "the pretrained network's own outputs, which saw no labels")


def suspects_documents(dataset: Dataset, judgement: Judgement) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """``suspects.json``, and what is said of it."""
    labels = dataset.labels_of(tuple(entry for entry, _ in judgement.images))
    rows = []
    for number, suspect in enumerate(rank(judgement.odds, labels)):
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
    found = int((judgement.odds.log > 0).sum())
    parts = [part for part in ("train", "validation", "test") if any(own == part for _, own in judgement.images)]
    return rows, {"method": judgement.method, "judged": len(labels), "parts": parts, "found": found}
