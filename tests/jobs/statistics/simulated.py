"""Test sets drawn at random, as the simulations of the statistics need them."""

from __future__ import annotations

import numpy as np

from jobs.statistics.units import Bools, Ints


def unit_sizes_of(kind: str, units: int, rng: np.random.Generator) -> Ints:
    """Sizes of units: single images, bursts of ten, unequal ones, or single images beside three huge units."""
    if kind == "single":
        return np.ones(units, dtype=np.int64)
    if kind == "tens":
        return np.full(units, 10)
    if kind == "unequal":
        return rng.geometric(0.2, units)
    sizes = np.ones(units, dtype=np.int64)
    sizes[:3] = units // 2 + 5
    return sizes


def draw_pair(
    sizes: Ints, correlation: float, discordance: float, difference: float, rng: np.random.Generator
) -> tuple[Bools, Bools, Ints]:
    """Right or wrong of two models [1, n], and the unit of each image.

    Of an image only a is right with chance (discordance + difference) / 2, only b with (discordance - difference) / 2. Images
    of a unit follow the unit's own draw with chance sqrt(correlation), so that two of them are correlated by it.
    """
    place = np.repeat(np.arange(len(sizes)), sizes)
    unit, own = rng.random(len(sizes))[place], rng.random(len(place))
    drawn = np.where(rng.random(len(place)) < np.sqrt(correlation), unit, own)
    up = (discordance + difference) / 2
    right = np.ones((1, len(place)), dtype=bool)
    return right & ~((drawn >= up) & (drawn < discordance)), right & ~(drawn < up), place


def draw_seeds(
    sizes: Ints, accuracies: tuple[float, float], seed_sd: float, seeds: int, correlation: float, rng: np.random.Generator
) -> tuple[Bools, Bools, Ints]:
    """Right or wrong of two methods over ``seeds`` seeds [seeds, n], and the unit of each image.

    A probit model: the difficulty of an image (shared by methods and seeds, ``correlation`` within units), what a method
    finds hard, the luck of a seed, and chance. ``seed_sd``: standard deviation over seeds of a method's accuracy.
    """
    place, n = np.repeat(np.arange(len(sizes)), sizes), int(sizes.sum())

    def component() -> np.ndarray:  # type: ignore[type-arg]
        own, unit = rng.normal(size=n), rng.normal(size=len(sizes))[place]
        return np.sqrt(correlation) * unit + np.sqrt(1 - correlation) * own

    difficulty, variance = 2.0 * component(), 4 + 0.25 + 1
    found = []
    for accuracy in accuracies:
        z = _quantile(accuracy)
        luck = seed_sd * np.sqrt(variance) / (np.exp(-z * z / 2) / np.sqrt(2 * np.pi))
        mean = z * np.sqrt(variance + luck**2) + difficulty + 0.5 * component()
        found.append(mean + luck * rng.normal(size=(seeds, 1)) + rng.normal(size=(seeds, n)) > 0)
    return found[0], found[1], place


def _quantile(share: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(share))
