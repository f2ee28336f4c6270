"""Each candidate at each layer: what its features are worth on training and validation images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.advice.accuracy import FOLDS, linear_probe, neighbours
from jobs.advice.items import Item, load_items
from jobs.advice.scores import h_score, leep, logme, nce
from jobs.data.features import DESCRIPTION, load_features
from jobs.statistics.cross_validated import cross_validated_share
from jobs.statistics.units import numbered
from tlbatch import nouns
from tlbatch.contracts.advice import AskedCandidate
from tlbatch.errors import DataError
from tlbatch.store.artifacts import Artifact

LOGITS = "logits"
LAST = 3  #: stages' ends that are judged where no more is asked for
FEWEST = 10  #: images, below which nothing is said
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Images:
    """The images that advice is given by. ``labels`` [n] places in ``classes``; ``units`` [n], alike where not independent."""

    ids: tuple[str, ...]
    labels: Ints
    units: Ints
    classes: tuple[str, ...]
    whole: int  #: images of the dataset, with those that are not read

    @property
    def n(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Share:
    """A share of images that were right, with its 95 % interval over units."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class JudgedLayer:
    """One layer of a candidate. Of the linear probe, on images new to it: ``right`` [n], ``log_loss`` (mean, nats)."""

    name: str
    stage: str
    dim: int
    probe: Share
    log_loss: float
    knn: Share
    logme: float
    h_score: float
    right: Bools = field(repr=False)


@dataclass(frozen=True)
class Judged:
    """One candidate. ``default``: the layer that a study takes where it names none; ``leep`` and ``nce``: of its own head."""

    asked: AskedCandidate
    layers: tuple[JudgedLayer, ...]
    default: str
    leep: float | None
    nce: float | None

    @property
    def own(self) -> JudgedLayer:
        """The default layer, as it is judged."""
        return next(layer for layer in self.layers if layer.name == self.default)


def load_images(artifact: Artifact, classes: Sequence[str]) -> Images:
    """Of any of the probes: all have the same. Raises DataError where there are too few to say anything."""
    items, whole = load_items(artifact)
    return images_of(items, classes, whole)


def images_of(items: Sequence[Item], classes: Sequence[str], whole: int) -> Images:
    place = {name: number for number, name in enumerate(classes)}
    labels = np.array([place[item.label] for item in items], dtype=np.int64)
    if len(items) < FEWEST or len(np.unique(labels)) < 2:
        raise DataError(
            f"{len(items)} training and validation {nouns.items()} of {len(np.unique(labels))} classes are too few to judge "
            f"by: advice needs {FEWEST} of two classes"
        )
    return Images(
        tuple(item.id for item in items), labels, numbered(np.array([item.unit for item in items])), tuple(classes), whole
    )


def judge(
    asked: AskedCandidate, artifact: Artifact, images: Images, layers: str, tick: Callable[[str], None] = lambda layer: None
) -> Judged:
    """``layers``: last, stages or all (tlbatch.spec.advise)."""
    description, rows = artifact.read_json(DESCRIPTION), load_features(artifact, images.ids)
    default = str(description["layer"])
    spans = [span for span in description["layers"] if span["name"] != LOGITS]
    logits = next((span for span in description["layers"] if span["name"] == LOGITS), None)
    default = _span(spans, default)
    judged = []
    for span in _wanted(spans, layers, default):
        tick(str(span["name"]))
        judged.append(_judge_layer(span, rows[:, span["start"] : span["start"] + span["dim"]], images))
    head: tuple[float | None, float | None] = (None, None)
    if logits is not None and not asked.floor:
        head = _own_head(rows[:, logits["start"] : logits["start"] + logits["dim"]], images.labels)
    return Judged(asked, tuple(judged), default, *head)


def _span(spans: Sequence[dict[str, Any]], default: str) -> str:
    """The default layer's own name, where a stage's is said."""
    names = [str(span["name"]) for span in spans]
    return default if default in names else names[-1]


def _wanted(spans: Sequence[dict[str, Any]], layers: str, default: str) -> Iterator[dict[str, Any]]:
    """In the order of the data, the default layer among them."""
    ends = [span["name"] for span in spans if span["last"]]
    kept = {"all": [span["name"] for span in spans], "stages": ends, "last": ends[-LAST:]}[layers]
    yield from (span for span in spans if span["name"] in kept or span["name"] == default)


def _judge_layer(span: dict[str, Any], features: NDArray[np.float32], images: Images) -> JudgedLayer:
    classes = len(images.classes)
    probed = linear_probe(features, images.labels, images.units, classes)
    near = neighbours(features, images.labels, images.units, classes)
    return JudgedLayer(
        name=str(span["name"]),
        stage=str(span["stage"]),
        dim=int(span["dim"]),
        probe=share_of(probed.right, images.units),
        log_loss=float(probed.losses.mean()),
        knn=share_of(near, images.units),
        logme=logme(features, images.labels, classes),
        h_score=h_score(features, images.labels),
        right=probed.right,
    )


def share_of(right: Bools, units: Ints) -> Share:
    """The share right, of models that share their training images, with its interval."""
    return Share(float(right.mean()), *cross_validated_share(right, units, FOLDS))


def _own_head(logits: NDArray[np.float32], labels: Ints) -> tuple[float, float]:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    odds = np.exp(shifted)
    return leep(odds / odds.sum(axis=1, keepdims=True), labels), nce(logits.argmax(axis=1).astype(np.int64), labels)
