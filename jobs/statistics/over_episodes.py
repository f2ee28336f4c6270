"""The mean accuracy over few-shot episodes: of other episodes, and of other classes than those that were held out. Pure.

Papers give the mean over some hundred episodes ± 1.96 standard errors over episodes. Episodes are drawn from the same held-out
classes and items, so this says what other episodes *of these* would give, and nothing of other classes. For those the mean
over episodes is a U-statistic over classes (Hoeffding 1948), with each class a cluster of all its items: to first order an
episode's accuracy is a sum over its classes, a_e = Σ β_c, and with the variance s² of β over C classes that of the mean over
episodes of W classes is W² s² / C; Student's t with C - 1 degrees of freedom. β by least squares; what few episodes leave
uncertain in it widens the interval.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from jobs.statistics.differences import LEVEL
from jobs.statistics.score import quantile
from jobs.statistics.shares import wilson
from jobs.statistics.units import Bools, Floats


@dataclass(frozen=True)
class EpisodeMean:
    """``value`` in [``low``, ``high``]: for other classes like these; in [``same_low``, ``same_high``]: for other episodes of
    these.

    Both 95 %. ``sd``: over episodes. ``p``: of no difference, where it is one, for other classes. ``effects`` [classes]: how
    much higher an episode's accuracy is with the class than with the mean one.
    """

    value: float
    low: float
    high: float
    same_low: float
    same_high: float
    sd: float
    effects: Floats
    p: float


def over_episodes(values: Floats, members: Bools) -> EpisodeMean:
    """``values`` [e]: accuracies of episodes, or paired differences; ``members`` [e, classes]: which classes are in each."""
    count, classes = members.shape
    ways = float(members.sum(axis=1).mean())
    value, sd = float(values.mean()), float(values.std(ddof=1))
    effects = np.linalg.lstsq(members.astype(np.float64), values, rcond=None)[0]
    of_episodes = sd / np.sqrt(count)
    of_classes = max(float(ways * effects.std(ddof=1) / np.sqrt(classes)), of_episodes)
    half, same = quantile(classes - 1, LEVEL) * of_classes, quantile(float("inf"), LEVEL) * of_episodes
    return EpisodeMean(
        value,
        value - half,
        value + half,
        value - same,
        value + same,
        sd,
        effects - effects.mean(),
        _p(value, of_classes, classes),
    )


def accuracy_over_episodes(values: Floats, members: Bools, items: int) -> EpisodeMean:
    """Of shares: intervals end at 0 and 1; that for other classes is no narrower than Wilson's of the ``items`` there are.

    Where every episode is right, none differs from another, and that alone would say that all others will be.
    """
    found = over_episodes(values, members)
    low, high = wilson(found.value * items, items)
    return replace(
        found,
        low=max(0.0, min(found.low, low)),
        high=min(1.0, max(found.high, high)),
        same_low=max(0.0, found.same_low),
        same_high=min(1.0, found.same_high),
    )


def _p(value: float, error: float, classes: int) -> float:
    from scipy.stats import t

    if error < 1e-12:
        return 1.0 if abs(value) < 1e-12 else 0.0
    return float(2 * t.sf(abs(value) / error, classes - 1))
