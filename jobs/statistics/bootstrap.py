"""The stratified bootstrap: other test sets like this one, drawn from it by whole groups, within each class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from jobs.statistics.predictions import Floats, Ints, Predictions, Weighted
from jobs.statistics.units import ratio_p

LARGE, LARGE_RESAMPLES, RESAMPLES = 100_000, 1000, 2000
CHUNK_VALUES = 2**19  #: weights in memory at a time: stays in a core's cache


def resamples_for(predictions: Predictions) -> int:
    """2,000; 1,000 where images times classes are many."""
    return LARGE_RESAMPLES if predictions.n * predictions.n_classes > LARGE else RESAMPLES


def resample_weights(labels: Ints, groups: Ints, resamples: int, seed: int = 0) -> Iterator[Floats]:
    """How often each image counts in each resample, [n, b] in chunks whose b add up to ``resamples``.

    Strata are classes; a unit of several images (equal ``groups``) is drawn as a whole, with its first image's class. The
    same labels, groups and seed give the same resamples, so that differences between models can be taken in pairs.
    """
    _, first, place = np.unique(groups, return_index=True, return_inverse=True)
    strata = [np.flatnonzero(labels[first] == label) for label in np.unique(labels[first])]
    chance = np.random.default_rng(seed)
    step = max(1, CHUNK_VALUES // max(len(labels), 1))
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        units = np.empty((len(first), count))
        for members in strata:
            size = len(members)
            drawn = chance.integers(size, size=(count, size)) + size * np.arange(count)[:, None]
            units[members] = np.bincount(drawn.ravel(), minlength=count * size).reshape(count, size).T
        yield units[place]


def bootstrap(
    predictions: Mapping[str, Predictions], functions: Mapping[str, object], resamples: int, seed: int = 0
) -> dict[str, dict[str, Floats]]:
    """{name of predictions: {metric: [resamples]}}: all predictions are of the same images, in the same resamples.

    ``functions``: metric name -> function of Weighted (jobs.metrics.registry).
    """
    any_of = next(iter(predictions.values()))
    found: dict[str, dict[str, list[Floats]]] = {name: {metric: [] for metric in functions} for name in predictions}
    for weights in resample_weights(any_of.labels, any_of.groups, resamples, seed):
        for name, given in predictions.items():
            weighted = Weighted(given, weights)
            for metric, function in functions.items():
                found[name][metric].append(function(weighted))  # type: ignore[operator]
    return {name: {metric: np.concatenate(parts) for metric, parts in by.items()} for name, by in found.items()}


def percentile_interval(values: Floats, level: float = 0.95) -> tuple[float, float] | None:
    """The middle ``level`` of the resamples where the metric is defined (in nine of ten at least), else None."""
    there = values[~np.isnan(values)]
    if len(there) < 0.9 * len(values):
        return None
    low, high = np.quantile(there, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def basic_interval(value: float, drawn: Floats) -> tuple[float, float] | None:
    """2 value - percentiles, for a metric that is biased upwards and in resamples once more; None where those are."""
    percentiles = percentile_interval(drawn)
    return None if percentiles is None else (2 * value - percentiles[1], 2 * value - percentiles[0])


def resampled_error(drawn: Floats) -> float:
    """The standard error of a value: its standard deviation in resamples, those left out where it is not defined."""
    return float(np.nanstd(drawn, ddof=1))


def ratio_test(gain: float, drawn: Floats, units: int) -> float:
    """One-sided p-value of a gain over its standard deviation in resamples, by Student's t. 1 where nothing differs."""
    return ratio_p(gain, resampled_error(drawn), units)
