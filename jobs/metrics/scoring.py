"""Metrics of the probabilities themselves. The expected calibration error is in calibration: its bins need the whole sample."""

from __future__ import annotations

from jobs.metrics.registry import metric
from jobs.statistics.predictions import Floats, Weighted


@metric("log_loss", "log loss", higher_is_better=False)
def log_loss(w: Weighted) -> Floats:
    """Nats an image."""
    return w.mean(w.predictions.log_losses)


@metric("brier", "Brier score", higher_is_better=False)
def brier(w: Weighted) -> Floats:
    return w.mean(w.predictions.brier_scores)
