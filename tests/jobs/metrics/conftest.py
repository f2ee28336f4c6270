"""Predictions to judge."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from jobs.statistics.predictions import Predictions

Draw = Callable[..., Predictions]


@pytest.fixture
def draw() -> Draw:
    """``draw(n, classes, margin, seed, decimals)``: random predictions; few ``decimals`` make many ties."""

    def make(n: int = 300, classes: int = 4, margin: float = 1.5, seed: int = 0, decimals: int | None = None) -> Predictions:
        chance = np.random.default_rng(seed)
        labels = chance.integers(classes, size=n)
        logits = chance.normal(size=(n, classes))
        logits[np.arange(n), labels] += margin
        p = np.exp(logits)
        p /= p.sum(axis=1, keepdims=True)
        if decimals is not None:
            p = np.round(p, decimals)
        return Predictions(labels, p, np.arange(n))

    return make
