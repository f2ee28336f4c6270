"""One verdict over several tasks: the formulas by statsmodels; by simulation neither age nor tasks weaken the guard."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from jobs.promotion.over_tasks import judge_together
from jobs.promotion.paired import Estimate
from jobs.promotion.rule import BETTER, NOT_WORSE, Rule
from jobs.promotion.verdict import GAIN, HARMED, NOT_SHOWN, PROMOTED, REFUSED, WORSE, Verdict
from tests.jobs.promotion.simulated import ACCURACY, World, one_class
from tests.jobs.promotion.simulated_tasks import Together
from tests.jobs.promotion.test_operating import at_least, at_most
from tests.requirements import chaos_only

RULE = Rule("accuracy", promote=BETTER)
FINE = Verdict(PROMOTED)
EQUAL = [ACCURACY, ACCURACY]


def estimate(gain: float, p: float) -> Estimate:
    return Estimate("accuracy", 0.9 + gain, 0.9, np.nan, np.nan, p, 10, 5)


def test_a_gain_is_shown_by_holm_over_all_tasks() -> None:
    """Fails when each task's p is taken as it is, or over fewer tasks than there are."""
    chance = np.random.default_rng(0)
    for _ in range(4):
        p = chance.uniform(0, 0.06, size=chance.integers(2, 6))
        tasks = {f"t{number}": estimate(0.03, float(each)) for number, each in enumerate(p)}
        found = judge_together(RULE, dict.fromkeys(tasks, FINE), tasks)
        shown, adjusted, *_ = multipletests(p, alpha=0.05, method="holm")
        assert list(found.p.values()) == pytest.approx(adjusted)
        assert found.tasks == (tuple(name for name, is_so in zip(tasks, shown, strict=True) if is_so) or tuple(tasks))
        assert (found.outcome, found.why) == ((PROMOTED, None) if shown.any() else (REFUSED, NOT_SHOWN))


def test_any_task_that_is_harmed_refuses_whatever_the_others_gain() -> None:
    tasks = {"digit": estimate(0.2, 1e-9), "parity": estimate(0.0, 0.6)}
    for promote in (NOT_WORSE, BETTER):
        verdicts = {"digit": FINE, "parity": Verdict(REFUSED, HARMED)}
        found = judge_together(replace(RULE, promote=promote), verdicts, tasks)
        assert (found.outcome, found.why, found.tasks) == (REFUSED, HARMED, ("parity",))
    both = judge_together(RULE, {"digit": Verdict(REFUSED, WORSE), "parity": Verdict(REFUSED, HARMED)}, tasks)
    assert (both.why, both.tasks) == (WORSE, ("digit", "parity"))


def test_a_gain_below_what_is_asked_counts_in_no_task() -> None:
    tasks = {"digit": estimate(0.01, 1e-9), "parity": estimate(0.03, 0.9)}
    fine = dict.fromkeys(tasks, FINE)
    assert judge_together(replace(RULE, min_gain=0.02), fine, tasks).why == NOT_SHOWN
    assert judge_together(replace(RULE, min_gain=0.05), fine, tasks).why == GAIN
    assert judge_together(replace(RULE, promote=NOT_WORSE), fine, tasks).outcome == PROMOTED
    lucky = {name: replace(estimate(0, 1), error=0.01, units=200) for name in tasks}
    found = judge_together(RULE, {"digit": FINE, "parity": replace(FINE, luck=0.05)}, lucky)
    assert found.tasks == ("parity",), "what the champion had by luck need not be gained, in the task where it had it"


# -- what follows, by simulation ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tasks", [2, 4])
def test_equals_are_called_better_in_no_more_than_alpha_of_nights_in_all(tasks: int) -> None:
    """Fails when each task's gain is tested at alpha and nothing is made of there being several."""
    found = Together.start(World(200), tasks, 300).live(RULE, 3, [EQUAL] * tasks)
    share = float((np.array(found.why) == PROMOTED).mean())
    assert share <= 0.05, share


@pytest.mark.parametrize("tasks", [2, 4])
def test_harm_to_one_task_is_refused_as_often_as_alone_at_any_age(tasks: int) -> None:
    """Fails when a task's tests of harm are made at a level that shrinks with the number of tasks."""
    rule = Rule("accuracy")
    for nights in (0, 12):
        for bad in (one_class(0.7, 2, True), [ACCURACY - 0.1] * 2):
            shares = []
            for several in (1, tasks):
                past = Together.start(World(200), several, 200).live(rule, nights, [EQUAL] * several)
                branch = past.again(5).live(rule, 1, [bad, *[EQUAL] * (several - 1)])
                shares.append(branch.promoted(1))
            assert shares[1] <= at_most(shares[0], 200), (nights, bad, shares)
            assert at_least(shares[1], 200) < 0.05, (nights, bad, shares)


@chaos_only
@pytest.mark.slow
@pytest.mark.parametrize("rho", [0.0, 0.8])
@pytest.mark.parametrize("n", [200, 1000])
@pytest.mark.parametrize("tasks", [1, 2, 4])
def test_what_several_tasks_cost_and_find(tasks: int, n: int, rho: float) -> None:
    """Equals, harm to a class of one task and to all of one, and a gain in one, after 0, 30 and 100 nights of equals."""
    world, equals = World(n, rho=rho), [EQUAL] * tasks
    loss = 0.1 if n == 200 else 0.045
    kinds = {
        "class .9 to .7": [one_class(0.7, 2, True), *equals[1:]],
        f"{100 * loss:g} points less": [[ACCURACY - loss] * 2, *equals[1:]],
        "3 points more in one": [[ACCURACY + 0.03] * 2, *equals[1:]],
        "3 points more in all": [[ACCURACY + 0.03] * 2] * tasks,
        "equals": equals,
    }
    for promote in (NOT_WORSE, BETTER):
        rule = Rule("accuracy", promote=promote)
        for age in (0, 30, 100):
            past = Together.start(world, tasks, 100).live(rule, age, equals)
            for kind, recalls in kinds.items():
                branch = past.again(4).live(rule, 30 if "more" in kind else 1, recalls)
                shares = [branch.promoted(nights) for nights in (1, 7, 30) if nights <= len(branch.why)]
                print(f"tasks {tasks} n {n} rho {rho} {promote} night {age + 1} {kind}: promoted {shares}")
                if "less" in kind or "to .7" in kind:
                    assert at_least(shares[0], 100) < 0.05
                if kind == "equals" and promote == BETTER:
                    assert at_least(shares[0], 100) <= 0.05
