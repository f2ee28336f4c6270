"""The simulation counts for many schedules at once what the step counts for one: they come to the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from jobs.promotion.decision import weigh
from jobs.promotion.rule import BETTER, NOT_WORSE, Rule
from jobs.promotion.verdict import PROMOTED
from tests.jobs.promotion.simulated import ACCURACY, Schedules, World, answers, counted


@pytest.mark.parametrize("group", [1, 3])
@pytest.mark.parametrize("promote", [NOT_WORSE, BETTER])
def test_nights_are_the_steps_own(group: int, promote: str) -> None:
    world, rule, outcomes = (
        World(300, classes=3, rho=0.5, group=group),
        Rule("accuracy", promote=promote, class_bound=0.05),
        set(),
    )
    found = Schedules.start(world, 4)
    for _ in range(25):
        levels, champions, state = list(found.levels), found.right.copy(), found.rng.bit_generator.state
        recalls = np.full((4, 3), ACCURACY)
        challengers = answers(world, found.rng, found.hard, recalls)
        found.rng.bit_generator.state = state
        found.step(rule, recalls)
        for i, (estimate, rows) in enumerate(counted(world, challengers, champions)):
            pair = (world.predictions(right[i]) for right in (challengers, champions))
            own = weigh(rule, *pair, ["c0", "c1", "c2"], levels[i], interval=False)
            assert (own.verdict.why or PROMOTED) == found.why[-1][i]
            assert [replace(row, p_adjusted=1.0) for row in own.classes] == rows
            assert own.level.scores == pytest.approx(found.levels[i].scores)
            assert own.level.floor == pytest.approx(found.levels[i].floor)
            for name in ("challenger", "champion", "p", "p_worse", "gained", "lost", "error", "spread", "units"):
                assert getattr(own.estimate, name) == pytest.approx(getattr(estimate, name)), name
            outcomes.add(found.why[-1][i])
    assert len(outcomes) > 2
