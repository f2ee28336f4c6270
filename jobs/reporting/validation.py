"""Which run is best, by validation alone: the test set names nothing (design §8.7)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from jobs.metrics.calibration import log_softmax
from jobs.reporting.sources import RunSource
from tlbatch.store.artifacts import Artifact


@dataclass(frozen=True)
class Standing:
    """Validation accuracy and log loss of a run, means over its seeds and folds; NaN where it was never validated.

    ``elsewhere``: the sources whose held-out images these are, where the run reads no validation label of the target.
    """

    accuracy: float
    loss: float
    elsewhere: tuple[str, ...] = ()

    @property
    def order(self) -> tuple[bool, float, float]:
        """Sorts the best first: highest accuracy, then lowest loss; first those that were validated on the target: what a run
        gets on images of a source says nothing beside it."""
        return bool(self.elsewhere), *self._order

    @property
    def _order(self) -> tuple[float, float]:
        return (-self.accuracy if math.isfinite(self.accuracy) else 1.0, self.loss if math.isfinite(self.loss) else math.inf)


def standing(run: RunSource) -> Standing:
    """How the run did on validation (of each fold, where there are folds)."""
    return standing_of(artifact for _, artifact in sorted(run.finetune.items(), key=lambda item: str(item[0])))


def standing_of(models: Iterable[Artifact]) -> Standing:
    """The same of the run's models by themselves."""
    scores = [_of_model(artifact) for artifact in models]
    if not scores:
        return Standing(math.nan, math.nan)
    mean = float(np.mean([s.accuracy for s in scores])), float(np.mean([s.loss for s in scores]))
    return Standing(*mean, tuple(dict.fromkeys(name for s in scores for name in s.elsewhere)))


def best(runs: Sequence[RunSource]) -> RunSource | None:
    """The best on validation, the first in the study's order of equals; None of no runs."""
    return min(runs, key=lambda run: standing(run).order, default=None)


def _of_model(artifact: Artifact) -> Standing:
    document = artifact.read_json("validation.json") if "validation.json" in artifact else {}
    logits = np.asarray(document.get("logits", []), dtype=np.float64)
    labels = np.asarray(document.get("labels", []), dtype=np.int64)
    if logits.ndim == 2 and len(logits) == len(labels) > 0:
        loss = -log_softmax(logits)[np.arange(len(labels)), labels].mean()
        elsewhere = tuple(str(role).partition(":")[2] for role in document.get("of", ()))
        return Standing(float((logits.argmax(axis=1) == labels).mean()), float(loss), elsewhere)
    return _selected_epoch(artifact)


def _selected_epoch(artifact: Artifact) -> Standing:
    history = artifact.read_json("history.json") if "history.json" in artifact else {}
    epochs = history.get("epochs") or []
    if not epochs:
        return Standing(math.nan, math.nan)
    chosen = min(max(int(history.get("selected_epoch", len(epochs))), 1), len(epochs)) - 1
    return Standing(_number(epochs[chosen]["validation_accuracy"]), _number(epochs[chosen]["validation_loss"]))


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
