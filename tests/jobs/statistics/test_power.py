"""The smallest difference: simulated studies in which it is true show it four times in five."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.statistics.differences import LEVEL, as_family, paired_difference
from jobs.statistics.permutation import two_sided
from jobs.statistics.power import exact_power, most_losses, smallest_difference, smallest_over_seeds
from jobs.statistics.score import PairedScore, SeedSpread
from jobs.statistics.units import differences
from tests.jobs.statistics.simulated import draw_pair, draw_seeds, unit_sizes_of


@pytest.mark.parametrize(("images", "discordance", "family"), [(400, 0.2, 1), (400, 0.2, 9), (1000, 0.05, 5), (117, 0.02, 2)])
def test_single_images(images: int, discordance: float, family: int) -> None:
    """3,000 studies at Holm's first step: 0.8, give or take three Monte Carlo errors (0.0073)."""
    level = LEVEL / family
    delta = smallest_difference(images, discordance, level)
    rng, share = np.random.default_rng(0), max(discordance, delta)
    k = rng.binomial(images, share, 3000)
    lost = rng.binomial(k, (1 - delta / share) / 2)
    assert np.mean(lost <= most_losses(k, level)) == pytest.approx(0.8, abs=0.022)
    assert exact_power(images, share, delta, level) == pytest.approx(0.8, abs=0.005)


@pytest.mark.parametrize(("units", "discordance"), [(100, 0.2), (40, 0.3)])
def test_groups_wholly_alike_need_what_as_many_images_need(units: int, discordance: float) -> None:
    """400 studies of groups of ten: 0.8 give or take three Monte Carlo errors (0.02). By images it would say a third of it."""
    rng, sizes = np.random.default_rng(1), unit_sizes_of("tens", units, np.random.default_rng(0))
    said = [paired_difference(*draw_pair(sizes, 1.0, discordance, 0.0, rng)).smallest for _ in range(15)]
    delta = float(np.mean(said))
    assert delta == pytest.approx(smallest_difference(units, discordance, LEVEL), rel=0.15)
    draws = [draw_pair(sizes, 1.0, max(discordance, delta), delta, rng) for _ in range(400)]
    found = [two_sided(differences(a[0], b[0], place)) < LEVEL for a, b, place in draws]
    assert np.mean(found) == pytest.approx(0.8, abs=0.06)


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_over_seeds(seeds: int) -> None:
    """With the spread as it truly is (the mean over 60 studies: in one it is but estimated, from ``seeds`` - 1 differences).

    250 studies: 0.8 give or take 0.03 and three Monte Carlo errors (0.025).
    """
    rng, sizes = np.random.default_rng(seeds), np.ones(200, dtype=np.int64)
    scores = [paired_difference(*draw_seeds(sizes, (0.75, 0.75), 0.02, seeds, 0.0, rng)).score for _ in range(60)]
    up, down, scale = (float(np.mean([getattr(one, name) for one in scores])) for name in ("up", "down", "scale"))
    spreads = [one.spread for one in scores if one.spread]
    between, rest = (float(np.mean([getattr(one, name) for one in spreads])) for name in ("between", "rest"))
    delta = smallest_over_seeds(PairedScore(up, down, scale, spread=SeedSpread(seeds, between, rest)), LEVEL)
    truth = (0.75 + delta / 2, 0.75 - delta / 2)
    found = [paired_difference(*draw_seeds(sizes, truth, 0.02, seeds, 0.0, rng)).p < LEVEL for _ in range(250)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.03 + 3 * 0.025)


def test_a_family_asks_for_more() -> None:
    rng = np.random.default_rng(0)
    alone = [paired_difference(*draw_pair(np.ones(300, dtype=np.int64), 0.0, 0.2, 0.0, rng)) for _ in range(4)]
    assert all(one.smallest > 1.1 * each.smallest for one, each in zip(as_family(alone), alone, strict=True))
