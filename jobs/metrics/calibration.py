"""Scores of the probabilities themselves, and whether confidences are shares.

Log loss and Brier score; expected calibration error, what chance alone would show, and temperature scaling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.metrics.registry import metric
from jobs.statistics.calibrated import perfect_error
from jobs.statistics.predictions import Floats, Ints, Predictions, Weighted
from tlbatch import nouns

BINS = 15
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0
AT_BOUND = 1e-3  #: distance from a bound, as a natural logarithm, below which a temperature is at it


@metric("log_loss", "log loss", higher_is_better=False)
def log_loss(w: Weighted) -> Floats:
    """Nats an image."""
    return w.mean(w.predictions.log_losses)


@metric("brier", "Brier score", higher_is_better=False)
def brier(w: Weighted) -> Floats:
    return w.mean(w.predictions.brier_scores)


def bins_of(confidence: Floats, bins: int = BINS) -> Ints:
    """[n] bin of each image: equal mass by rank (Nguyen and O'Connor 2015); equal confidences share the bin of the first."""
    ranks = np.searchsorted(np.sort(confidence), confidence, side="left")
    return np.asarray(ranks * bins // max(len(confidence), 1), dtype=np.int64)


@metric("ece", "expected calibration error", higher_is_better=False)
def expected_calibration_error(w: Weighted) -> Floats:
    """[b] sum over 15 bins of equal mass of share x |accuracy - mean confidence|, of the top-1 class (Guo et al. 2017)."""
    p = w.predictions
    gap = p.right.astype(np.float64) - p.confidence
    members = np.eye(BINS)[bins_of(p.confidence)] * gap[:, None]
    return np.asarray(np.abs(members.T @ w.weights).sum(axis=0) / w.total)


def perfect_of(predictions: Predictions) -> tuple[float, float]:
    """jobs.statistics.calibrated's ``perfect_error`` of these predictions, worked out once."""
    if "perfect" not in predictions.memo:
        predictions.memo["perfect"] = perfect_error(predictions.confidence, bins_of(predictions.confidence))
    found: tuple[float, float] = predictions.memo["perfect"]
    return found


def reliability(predictions: Predictions) -> dict[str, Any]:
    """The error, what a perfect model would show, log loss, Brier score, and the bins of a reliability diagram."""
    confidence, right, bins = predictions.confidence, predictions.right, bins_of(predictions.confidence)
    rows = []
    for number in np.unique(bins):
        inside = bins == number
        rows.append(
            {
                "low": float(confidence[inside].min()),
                "high": float(confidence[inside].max()),
                "n": int(inside.sum()),
                "confidence": float(confidence[inside].mean()),
                "accuracy": float(right[inside].mean()),
            }
        )
    perfect, perfect_high = perfect_of(predictions)
    return {
        "ece": float(expected_calibration_error(predictions.ones())[0]),
        "perfect": perfect,
        "perfect_high": perfect_high,
        "log_loss": float(predictions.log_losses.mean()),
        "brier": float(predictions.brier_scores.mean()),
        "bins": rows,
    }


def softmax(logits: NDArray[np.floating[Any]], temperature: float = 1.0) -> Floats:
    """[..., c] in float64."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def log_softmax(logits: NDArray[np.floating[Any]]) -> Floats:
    """[..., c] natural logarithms of the softmax in float64; none is lost to a probability that is zero."""
    shifted = np.asarray(logits, dtype=np.float64) - np.max(logits, axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


@dataclass(frozen=True)
class Temperature:
    """``value`` divides the logits; None (``why`` says the reason) where it cannot be fitted."""

    value: float | None
    why: str


def fit_temperature(logits: Floats, labels: Ints) -> Temperature:
    """The temperature with the lowest log loss on validation images (Guo et al. 2017). ``logits`` [m, c], ``labels`` [m].

    Where the model is right on all of them, every sharpening lowers the loss, so that only softening (above 1) is allowed. A
    temperature that ends at a bound is not fitted: the images do not tell it, only the bound does. Then there is none.
    """
    from scipy.optimize import minimize_scalar

    if len(labels) < BINS:
        return Temperature(None, f"{len(labels)} validation {nouns.items()} are too few to fit a temperature")
    rows = np.arange(len(labels))
    shifted = logits - logits.max(axis=1, keepdims=True)

    def loss(log_temperature: float) -> float:
        scaled = shifted / np.exp(log_temperature)
        return float((np.log(np.exp(scaled).sum(axis=1)) - scaled[rows, labels]).mean())

    perfect = bool((logits.argmax(axis=1) == labels).all())
    bounds = (0.0 if perfect else np.log(MIN_TEMPERATURE), np.log(MAX_TEMPERATURE))
    found = float(minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6}).x)
    images = f"{len(labels)} validation {nouns.items()}"
    if min(found - bounds[0], bounds[1] - found) < AT_BOUND:
        return Temperature(None, _not_fitted(images, perfect, at_most=bounds[1] - found < AT_BOUND))
    of_all = ", all of them predicted right: not below 1" if perfect else ""
    return Temperature(round(float(np.exp(found)), 6), f"fitted on {images}{of_all}")


def _not_fitted(images: str, perfect: bool, *, at_most: bool) -> str:
    if perfect and not at_most:
        return f"all {images} are predicted right, so that no temperature above 1 fits them better and none below can be fitted"
    bound, way = (MAX_TEMPERATURE, "higher") if at_most else (MIN_TEMPERATURE, "lower")
    return f"no temperature could be fitted: on {images} the loss still falls at the bound, {bound:g}, and would at {way} ones"
