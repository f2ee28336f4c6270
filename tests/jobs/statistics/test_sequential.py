"""What challengers score on one set of test images: their level, a winner's luck, a fall; and what a gain needs."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.power import NormalIndPower

from jobs.statistics.sequential import WINDOW, Level, bound_level, class_level, images_needed, scatter


def after(scores: list[float], error: float = 0.02) -> Level:
    level = Level.start(scores[0], error)
    for score in scores[1:]:
        level = level.then(score, error)
    return level


def test_the_luck_of_the_best_of_many_equals_is_found() -> None:
    """Of 200 equals the best lies 2.75 standard deviations above their mean; that much, and no more, is called luck."""
    rng, found = np.random.default_rng(0), []
    for _ in range(200):
        scores = rng.normal(0.9, 0.02, size=200)
        found.append(after(scores.tolist()).luck(float(scores.max()), 0.02) - (scores.max() - 0.9))
    assert abs(float(np.mean(found))) < 0.005
    assert after([0.9] * 30).luck(0.88, 0.02) == 0.0


def test_no_more_is_luck_than_the_luckiest_of_so_many_has() -> None:
    """Against the distribution of a maximum, drawn; and no less is expected of an unlucky one than chance takes away."""
    rng = np.random.default_rng(3)
    best = np.quantile(rng.normal(0, 0.02, size=(4000, 12)).max(axis=1), 0.95)
    level = after([0.5] * 12)
    assert level.luck(0.9, 0.02) == pytest.approx(best, rel=0.03)
    assert level.expected(0.3, 0.02) == pytest.approx(0.3 + 1.645 * 0.02, abs=1e-4)


def test_where_challengers_really_differ_a_score_counts_itself() -> None:
    rng = np.random.default_rng(4)
    mixed = after(rng.normal(0.8, 0.05, size=60).tolist(), error=0.1)
    assert mixed.luck(0.9, 0.005) < 0.004  # what is seen of 10 points above the level
    assert mixed.expected(0.9, 0.05) == pytest.approx(0.8, abs=0.04)


def test_challengers_that_get_worse_do_not_drag_down_who_stands() -> None:
    rng = np.random.default_rng(5)
    level = after(rng.normal(0.9, 0.02, size=60).tolist())
    for score in rng.normal(0.8, 0.02, size=40).tolist():
        level = level.then(score, 0.02)
    assert level.expected(0.92, 0.02) == pytest.approx(0.9, abs=0.02)


def test_the_floor_only_rises_and_a_slow_fall_is_seen() -> None:
    rng, floors = np.random.default_rng(1), []
    level, seen = Level.start(0.9, 0.01), 0
    for night in range(1, 200):
        score = float(rng.normal(0.9 - 0.0005 * night, 0.01))
        seen = seen or (night if level.has_fallen(score, 0.01) else 0)
        level = level.then(score, 0.01)
        floors.append(level.floor)
    assert floors == sorted(floors)
    assert 0 < seen < 80, "half a ten-thousandth a night: 4 points after 80"
    assert len(level.scores) == WINDOW
    assert level.count == 200


def test_scatter_is_not_widened_by_a_trend_nor_above_what_chance_gives() -> None:
    rng = np.random.default_rng(2)
    still = rng.normal(0.9, 0.01, size=400)
    assert scatter(still.tolist(), 1.0) == pytest.approx(0.01, rel=0.1)
    assert scatter((still + np.linspace(0, -0.1, 400)).tolist(), 1.0) == pytest.approx(0.01, rel=0.1)
    assert scatter(still.tolist(), 0.004) == 0.004


def test_levels_of_classes() -> None:
    assert [class_level(0.05, n) for n in (0, 1, 40, 80, 1000)] == pytest.approx([0.05, 0.05, 0.05, 0.025, 0.002])
    assert [bound_level(0.05, n, n) for n in (0, 1, 10, 20, 40, 80)] == pytest.approx([0.1, 0.1, 0.1, 0.05, 0.05, 0.025])
    assert bound_level(0.05, 40, 3) == 0.1  # as few tests are made as there are bounds


@pytest.mark.parametrize("discordance", [0.05, 0.1, 0.2])
def test_as_many_images_show_a_gain_four_times_in_five(discordance: float) -> None:
    """A mean of differences -1, 0, 1 with variance discordance - gain^2, by statsmodels' normal power."""
    gain = 0.03
    size = gain / (discordance - gain**2) ** 0.5
    power = NormalIndPower(ddof=0).power(
        size, nobs1=images_needed(gain, discordance), alpha=0.05, ratio=0, alternative="larger"
    )
    assert power == pytest.approx(0.8, abs=0.01)


def test_a_level_survives_its_document() -> None:
    level = after([0.9, 0.91, 0.89])
    assert Level.from_json(level.to_json()) == level
    assert Level.from_json(None) is None
