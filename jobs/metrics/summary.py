"""All metrics of a run's predictions with their intervals: per seed, and the mean over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jobs.metrics.calibration import perfect_of
from jobs.metrics.registry import Metric, metrics_with
from jobs.statistics.bootstrap import basic_interval, bootstrap, percentile_interval, resamples_for
from jobs.statistics.estimate import Estimate
from jobs.statistics.over_seeds import widened
from jobs.statistics.predictions import Floats, Predictions
from jobs.statistics.shares import TOO_FEW, reach_of_recalls, share, share_interval
from tlbatch import nouns

SHARES = ("accuracy", "weighted_recall")  #: shares of images: Wilson's interval
BOOTSTRAP = "stratified bootstrap"
Bounds = tuple[float | None, float | None]
NONE: Bounds = (None, None)


@dataclass(frozen=True)
class Summary:
    """``seeds``: {seed: {metric: Estimate}}; ``mean``: {metric: Estimate}, its interval that of the mean over other seeds and
    other test images, with ``sd`` over the seeds (ddof 1, None with one) and their number in ``extra``."""

    seeds: dict[str, dict[str, Estimate]]
    mean: dict[str, Estimate]
    resamples: int

    def to_json(self) -> dict[str, Any]:
        return {
            "seeds": {seed: {name: one.to_json() for name, one in by.items()} for seed, by in self.seeds.items()},
            "mean": {name: one.to_json() for name, one in self.mean.items()},
        }


def summarise(seeds: Mapping[str, Predictions], *, names: Sequence[str] | None = None, added: Sequence[str] = ()) -> Summary:
    """Every metric (or those of ``names``) of predictions that are of the same images, and those ``added`` by plug-ins."""
    first = next(iter(seeds.values()))
    apart = _apart(seeds)
    known = {name: metric for name, metric in metrics_with(added).items() if names is None or name in names}
    functions = {name: metric.function for name, metric in known.items()}
    resamples = resamples_for(first) if first.n >= TOO_FEW else 0
    resampled = bootstrap(seeds, functions, resamples) if resamples else {seed: {} for seed in seeds}
    found, mean = {}, {}
    values = {seed: {name: float(f(p.ones())[0]) for name, f in functions.items()} for seed, p in seeds.items()}
    for seed, predictions in seeds.items():
        found[seed] = {
            name: _estimate(known[name], [values[seed][name]], [predictions], resampled[seed].get(name)) for name in functions
        }
    for name in functions:
        by_seed = np.array([by[name] for by in values.values()])
        drawn = np.array([by[name] for by in resampled.values()]) if resamples else None
        one = _estimate(known[name], by_seed.tolist(), list(seeds.values()), None if drawn is None else drawn.mean(axis=0))
        if drawn is not None:
            one = _over_seeds(one, known[name], by_seed, drawn)
        spread = float(np.std(by_seed, ddof=1)) if apart > 1 and one.value is not None else None
        extra = {**one.extra, "sd": spread, "seeds": apart}
        mean[name] = Estimate(one.value, one.low, one.high, one.n, one.method, extra=extra)
    return Summary(found, mean, resamples)


def _apart(seeds: Mapping[str, Predictions]) -> int:
    """How many seeds count: one where all gave the very same model, which shows in its probabilities."""
    first, *others = (predictions.probabilities for predictions in seeds.values())
    return 1 if all(np.array_equal(first, other) for other in others) else len(seeds)


def _estimate(metric: Metric, values: Sequence[float], models: Sequence[Predictions], resampled: Floats | None) -> Estimate:
    """The mean of a metric over models, with the interval for other test images; ``resampled`` [b] are its values there."""
    n, value, name = models[0].n, float(np.mean(values)), metric.name
    if np.isnan(value):
        why = f"it is no number for these test {nouns.items()}" if ":" in name else f"all test {nouns.items()} are of one class"
        return Estimate(None, None, None, n, "not defined", extra={"why": why})
    if name in SHARES and len(models) == 1:
        return share(models[0].right, models[0].groups)
    extra: dict[str, Any] = {}
    if name == "ece":
        perfect = np.mean([perfect_of(model) for model in models], axis=0)
        extra = {"perfect": float(perfect[0]), "perfect_high": float(perfect[1])}
    if resampled is None:
        return Estimate(value, None, None, n, "counts only", extra=extra)
    if name in SHARES:
        low, high, _ = share_interval(np.mean([model.right for model in models], axis=0), models[0].groups)
        return Estimate(value, low, high, n, "Wilson")
    if name == "ece":
        bounds, method = _corrected(value, resampled, from_zero=value <= extra["perfect_high"])
    else:
        bounds, method = _percentiles(value, resampled, models, a_share=metric.a_share)
    return Estimate(value, *bounds, n, method, extra=extra)


def _over_seeds(one: Estimate, metric: Metric, by_seed: Floats, resampled: Floats) -> Estimate:
    """The interval for other seeds, too, from that for other test images; as it is where all seeds are alike."""
    if one.value is None or one.low is None or one.high is None or len(by_seed) == 1 or np.ptp(by_seed) < 1e-15:
        return one
    low, high = widened(one.value, one.low, one.high, by_seed, resampled)
    return replace(
        one, low=max(metric.lowest, low), high=min(metric.highest, high), method=f"{one.method}, and the spread of the seeds"
    )


def _corrected(value: float, resampled: Floats, *, from_zero: bool) -> tuple[Bounds, str]:
    """The basic interval, 2 value - percentiles: a calibration error is biased upwards, and in resamples once more.

    It starts at 0 where a perfect model would show as much.
    """
    bounds = basic_interval(value, resampled)
    if bounds is None:
        return NONE, BOOTSTRAP
    low, high = bounds
    return (0.0 if from_zero else max(0.0, low), min(1.0, max(value, high))), f"{BOOTSTRAP}, basic interval"


def _percentiles(value: float, resampled: Floats, models: Sequence[Predictions], *, a_share: bool) -> tuple[Bounds, str]:
    """The percentiles; where all resamples give the value itself, which proves nothing, the reach of the classes' recalls.

    That happens most often when no image is predicted wrong. For metrics that are a kind of share the interval is then as
    far from the value as Wilson's intervals of the recalls (joined by MOVER) reach; others have none.
    """
    percentiles = percentile_interval(resampled)
    if percentiles is None:
        return NONE, f"no interval: not defined in every tenth resample of the {BOOTSTRAP}"
    if percentiles[1] - percentiles[0] > 1e-12:
        return percentiles, BOOTSTRAP
    if not a_share:
        return NONE, "no interval: all resamples are alike"
    return reach_of_recalls(value, models), "Wilson's of the recalls, joined: all resamples are alike"
