"""What a test could have shown: the smallest difference that it finds four times in five. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy import special

from jobs.statistics.score import PairedScore
from jobs.statistics.units import Ints

POWER = 0.8
QUANTILES = 64  #: of the chi-square distribution that an average is taken over


def smallest_difference(units: float, discordance: float, level: float, power: float = POWER) -> float:
    """The smallest difference that the exact test over units shows with this power at this two-sided level, as a fraction.

    ``units``: independent images that say as much as the test's (their number where units are single images);
    ``discordance``: the share of them on which the two models differ. A difference larger than that needs the share to be as
    large. 1 where even that is not enough.
    """
    n = max(1, round(units))
    return _least(lambda delta: exact_power(n, max(discordance, delta), delta, level), power)


def exact_power(n: int, discordance: float, delta: float, level: float) -> float:
    """Chance that exact McNemar shows a difference ``delta`` on ``n`` units, in its direction.

    Discordant units are binomial of ``discordance``, and each is a's with chance (1 + delta / discordance) / 2.
    """
    if discordance <= 0:
        return 0.0
    middle, reach = n * discordance, 8 * math.sqrt(n * discordance * (1 - discordance)) + 10
    k = np.arange(max(0, math.floor(middle - reach)), min(n, math.ceil(middle + reach)) + 1)
    logs = special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
    chances = np.exp(logs + special.xlogy(k, discordance) + special.xlog1py(n - k, -discordance))
    most = most_losses(k, level)
    wins = np.where(most >= 0, special.bdtr(np.maximum(most, 0), k, (1 - delta / discordance) / 2), 0.0)
    return float((chances * wins).sum())


def most_losses(k: Ints, level: float) -> Ints:
    """The most of ``k`` discordant units that b may win where exact McNemar still shows a to be better; -1 where none may."""
    guess = np.floor(k / 2 + special.ndtri(level / 2) * np.sqrt(k) / 2).astype(np.int64) + 2
    for _ in range(6):
        too_many = (guess >= 0) & (2 * special.bdtr(np.maximum(guess, 0), np.maximum(k, 1), 0.5) >= level)
        guess = np.where(too_many | (guess > k), guess - 1, guess)
    return np.asarray(np.maximum(guess, -1), dtype=np.int64)


def smallest_over_seeds(score: PairedScore, level: float, power: float = POWER) -> float:
    """The smallest difference shown with this power over as many seeds and units, where they spread as they do here."""
    return _least(lambda delta: seeds_power(score, delta, level), power)


def seeds_power(score: PairedScore, delta: float, level: float) -> float:
    """Chance that a difference ``delta`` is shown: on average over what the mean square of the seeds may turn out to be.

    That is the true one times chi-square over its degrees of freedom; the difference is normal, and independent of it.
    """
    spread = score.spread
    if spread is None:
        raise ValueError("one seed has no spread")
    discordance = max(score.up + score.down, delta)
    there = replace(score, up=(discordance + delta) / 2, down=(discordance - delta) / 2)
    excess = max(spread.between - spread.rest, 0.0)
    error = math.sqrt(there.variance(delta) + excess)
    df = spread.seeds - 1
    draws = special.chdtri(df, (np.arange(QUANTILES) + 0.5) / QUANTILES) / df
    reaches = [
        replace(there, spread=replace(spread, between=float(draw) * (spread.rest + excess))).reach(0.0, level) for draw in draws
    ]
    return float(special.ndtr((delta - np.array(reaches)) / max(error, 1e-12)).mean())


def _least(chance: Callable[[float], float], power: float) -> float:
    """The least delta in [0, 1] from which on ``chance`` is ``power`` at least; 1 where it never is."""
    low, high = 0.0, 1.0
    while high - low > 1e-5:
        middle = (low + high) / 2
        low, high = (low, middle) if chance(middle) >= power else (middle, high)
    return high
