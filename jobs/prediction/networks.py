"""A model of one seed, its folds together: items in, logits out, as evaluate runs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jobs.context import Context
from jobs.evaluation.outputs import validation_of
from jobs.extraction.classifiers import Classifiers, open_trained
from jobs.metrics.calibration import Temperature, fit_temperature, softmax
from jobs.statistics.predictions import Floats
from tlbatch.store.artifacts import Artifact


@dataclass(frozen=True)
class Model:
    """What predicts. ``networks``: its folds in order, those whose heads are on cached features in one.

    ``batch``: items at a time. ``temperature`` is the one evaluate fits.
    """

    networks: Sequence[Classifiers]
    batch: int
    classes: list[str]
    settings: Mapping[str, Any]
    precision: str
    folds: int
    temperature: Temperature
    device: torch.device

    @property
    def passes(self) -> int:
        """Forward passes through a backbone that an image takes."""
        return len(self.networks)

    @property
    def engine(self) -> str:
        return self.networks[0].engine

    def __call__(self, items: Tensor) -> Floats:
        """float64 [n, folds, classes] logits of items as their kind loads them. Safe to call from several threads."""
        return np.concatenate([network(items) for network in self.networks], axis=1)

    def probabilities(self, logits: Floats, *, raw: bool) -> Floats:
        """[n, classes]: the mean over the folds, each scaled by the temperature unless ``raw`` or there is none."""
        scale = 1.0 if raw or self.temperature.value is None else self.temperature.value
        return np.asarray(np.mean([softmax(one, scale) for one in logits.swapaxes(0, 1)], axis=0))


def load_model(context: Context, artifacts: list[Artifact], device: torch.device, batch: int | None) -> Model:
    """The model of a seed from its finetune artifacts, folds in order."""
    card = artifacts[0].read_json("card.json")
    precision, classes = str(card["precision"]), list(card["classes"])
    _, labels, logits = validation_of(artifacts, classes)
    networks = list(open_trained(context, artifacts, precision, device, batch))
    return Model(
        networks=networks,
        batch=batch or networks[0].batch,
        classes=classes,
        settings=card["input"],
        precision=precision,
        folds=len(artifacts),
        temperature=fit_temperature(logits, labels),
        device=device,
    )
