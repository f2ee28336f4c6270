"""What the rule does over a year of nights, by simulation that runs the rule itself (tests.jobs.promotion.simulated).

Here a short version; the whole one, of 365 nights, runs with TLBATCH_CHAOS=1 and prints its table.
Mutations that break it, tried: levels that shrink with k (b), no luck taken off (c), no memory of the level (d), a bound
that compares points (e), and printing the pinned score instead of the fresh one (a).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

from jobs.promotion.rule import BETTER, NOT_WORSE, Rule
from jobs.promotion.verdict import BOUND, HARMED, PROMOTED
from tests.jobs.promotion.simulated import (
    ACCURACY,
    Quality,
    World,
    Year,
    equals,
    live,
    one_class,
    promoted_within,
    step,
    worse_by,
)

CHAOS = bool(os.environ.get("TLBATCH_CHAOS"))
whole = pytest.mark.skipif(not CHAOS, reason="365 nights, many times: TLBATCH_CHAOS=1 runs them (minutes)")
RULES = (NOT_WORSE, BETTER)
HARM = {200: 0.1, 1000: 0.045}
"""Loss of accuracy that passes on fewer than 5 of 100 nights, for so many pinned images, whatever the models share."""


def years(count: int, nights: int, rule: Rule, quality: Quality = equals, **world: float) -> list[tuple[World, Year]]:
    worlds = [World(np.random.default_rng([7, seed]), **world) for seed in range(count)]  # type: ignore[arg-type]
    return [(each, live(each, rule, nights, quality)) for each in worlds]


def share(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


# -- a: the printed number ----------------------------------------------------------------------------------------------


def test_the_pinned_score_flatters_and_the_fresh_one_does_not() -> None:
    found = [year for _, year in years(10, 80, Rule("accuracy"), n=200)]
    assert share(year.pinned[-1] for year in found) > ACCURACY + 0.01
    assert share(share(year.printed) for year in found) == pytest.approx(ACCURACY, abs=0.01)


@whole
@pytest.mark.slow
@pytest.mark.parametrize("n", [200, 1000])
@pytest.mark.parametrize("promote", RULES)
def test_the_printed_number_is_unbiased_at_any_age(n: int, promote: str) -> None:
    found = [year for _, year in years(60, 365, Rule("accuracy", promote=promote), n=n)]
    for k in (1, 30, 100, 365):
        near = slice(max(0, k - 10), k)  # the mean of ten nights: four images say little
        bias = share(share(year.printed[near]) - share(year.true[near]) for year in found)
        pinned = share(year.pinned[k - 1] - year.true[k - 1] for year in found)
        promoted = share(year.outcomes.count(PROMOTED) / 365 for year in found)
        print(f"a: n {n:5} {promote:9} k {k:3}: printed {bias:+.4f} pinned {pinned:+.4f} promoted {promoted:.2f} of nights")
        images = min(n, 4 * k)
        assert abs(bias) <= max(0.005, 3 * (0.09 / images / len(found)) ** 0.5)


# -- b: harm ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("nights", "count", "times"), [(0, 30, 4), (40, 3, 40)])
@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("rho", [0.0, 0.8])
def test_a_class_that_falls_is_refused_at_any_age(nights: int, count: int, times: int, classes: int, rho: float) -> None:
    rule = Rule("accuracy")
    found = years(count, nights, rule, n=100 * classes, classes=classes, rho=rho)
    for compensate in (False, True):
        fallen = one_class(0.7, classes, compensate)
        assert share(promoted_within(world, rule, year, fallen, 1, times) for world, year in found) < 0.05


@pytest.mark.parametrize("n", [200, 1000])
def test_a_harm_to_the_whole_is_refused_at_any_age(n: int) -> None:
    rule = Rule("accuracy")
    for nights, count, times in ((0, 30, 5), (40, 3, 50)):
        found = years(count, nights, rule, n=n, classes=2)
        harmed = [ACCURACY - HARM[n]] * 2
        assert share(promoted_within(world, rule, year, harmed, 1, times) for world, year in found) < 0.05


@whole
@pytest.mark.slow
@pytest.mark.parametrize("nights", [0, 29, 364])
@pytest.mark.parametrize("promote", RULES)
def test_harm_of_every_kind_at_any_age(nights: int, promote: str) -> None:
    rule, count, times = Rule("accuracy", promote=promote), 400 if not nights else 60, 3 if not nights else 20
    for rho in (0.0, 0.8):
        for classes in (2, 10):
            found = years(count, nights, rule, n=100 * classes, classes=classes, rho=rho)
            wholly = [ACCURACY - HARM[100 * classes]] * classes
            for name, recalls in (
                ("class", one_class(0.7, classes, False)),
                ("class, others gain", one_class(0.7, classes, True)),
                (f"all by {HARM[100 * classes]}", wholly),
            ):
                rate = share(promoted_within(world, rule, year, recalls, 1, times) for world, year in found)
                print(f"b: {promote:9} k {nights + 1:3} rho {rho} classes {classes:2} {name:20} promoted {rate:.3f}")
                assert rate < 0.05


# -- c: power -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("promote", RULES)
@pytest.mark.parametrize("classes", [2, 10])
def test_three_points_are_found_within_a_week(promote: str, classes: int) -> None:
    rule = Rule("accuracy", promote=promote)
    for nights, count, times in ((0, 15, 1), (40, 3, 5)):
        found = years(count, nights, rule, n=1000, classes=classes)
        better = [ACCURACY + 0.03] * classes
        assert share(promoted_within(world, rule, year, better, 7, times) for world, year in found) >= 0.8


@whole
@pytest.mark.slow
@pytest.mark.parametrize("promote", RULES)
@pytest.mark.parametrize("nights", [0, 29, 364])
def test_three_points_are_found_within_a_week_at_any_age(promote: str, nights: int) -> None:
    rule = Rule("accuracy", promote=promote)
    for rho in (0.0, 0.8):
        for classes in (2, 10):
            found = years(200 if not nights else 50, nights, rule, n=1000, classes=classes, rho=rho)
            better = [ACCURACY + 0.03] * classes
            rate = share(promoted_within(world, rule, year, better, 7, 1 if not nights else 6) for world, year in found)
            print(f"c: {promote:9} k {nights + 1:3} rho {rho} classes {classes:2}: +3 points within 7 nights {rate:.2f}")
            assert rate >= 0.8


# -- d: equals, and a little worse every time ---------------------------------------------------------------------------

CREEP = {200: 0.045, 1000: 0.022}
"""The most that a year of challengers 0.3 points below the champion of their night may cost, on average."""


def test_equals_are_often_promoted_and_small_losses_do_not_add_up() -> None:
    rule = Rule("accuracy")
    same = [year for _, year in years(4, 80, rule, n=200)]
    assert share(year.outcomes.count(PROMOTED) / 80 for year in same) > 0.15
    creeping = [year for _, year in years(3, 120, rule, worse_by(0.003), n=1000)]
    assert share(year.true[-1] for year in creeping) > ACCURACY - CREEP[1000]


@whole
@pytest.mark.slow
@pytest.mark.parametrize("n", [200, 1000])
@pytest.mark.parametrize("promote", RULES)
def test_a_year_of_challengers_a_little_worse(n: int, promote: str) -> None:
    for rho in (0.0, 0.8):
        rule = Rule("accuracy", promote=promote)
        same = [year for _, year in years(20, 365, rule, n=n, rho=rho)]
        promoted = share(year.outcomes.count(PROMOTED) / 365 for year in same)
        creeping = [year for _, year in years(20, 365, rule, worse_by(0.003), n=n, rho=rho)]
        ends = [year.true[-1] - ACCURACY for year in creeping]
        print(f"d: n {n:5} {promote:9} rho {rho}: equals promoted {promoted:.2f}; creep {share(ends):+.4f} ({min(ends):+.4f})")
        assert share(ends) > -CREEP[n]
        assert promote == BETTER or promoted > 0.15


# -- e: small classes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("per_class", [5, 8, 20])
@pytest.mark.parametrize("classes", [2, 10, 40])
def test_a_bound_refuses_few_real_improvements_of_small_classes(per_class: int, classes: int) -> None:
    rule = Rule("accuracy", class_bound=0.05)
    found = years(150 if CHAOS else 40, 0, rule, n=per_class * classes, classes=classes)
    better, refused = [ACCURACY + 0.03] * classes, 0
    for world, year in found:
        night = replace(year, outcomes=[])
        step(world, rule, night, better)
        refused += night.outcomes[0] in (BOUND, HARMED)
    print(f"e: {classes} classes of {per_class}: refused for a class {refused / len(found):.3f}")
    assert refused / len(found) <= (0.1 if CHAOS else 0.15)
