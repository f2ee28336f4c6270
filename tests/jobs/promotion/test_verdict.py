"""The rules of promotion, one by one."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from jobs.promotion.candidates import Candidate, choose
from jobs.promotion.paired import ClassTest, Estimate
from jobs.promotion.rule import Rule
from jobs.promotion.sentences import coarse_sentence, verdict_sentence
from jobs.promotion.verdict import BOUND, FALLEN, GAIN, HARMED, NOT_SHOWN, PROMOTED, REFUSED, WORSE, is_coarse, judge
from jobs.statistics.permutation import chance
from jobs.statistics.sequential import Level


def estimate(gained: int, lost: int, n: int = 300, **other: Any) -> Estimate:
    a, b = 0.8 + gained / n, 0.8 + lost / n
    values = {"metric": "accuracy", "challenger": a, "champion": b, "low": a - b - 0.02, "high": a - b + 0.02}
    tests = {"p": chance(gained, lost), "p_worse": chance(lost, gained)}
    error = math.sqrt(max(gained + lost, 1)) / n
    over = {"error": error, "spread": math.sqrt(0.16 / n), "units": n}
    return Estimate(**{**values, **tests, **over, "gained": gained, "lost": lost, **other})


def a_class(lost: int = 0, gained: int = 0, n: int = 30, name: str = "beagle") -> ClassTest:
    return ClassTest(name, n, 0.9 + (gained - lost) / n, 0.9, gained, lost, chance(lost, gained))


def test_no_level_depends_on_how_often_the_images_were_asked() -> None:
    """The k-th test of old was held to alpha 6 / (pi k)^2, and only the guard against harm was weakened by it."""
    rule = Rule("accuracy", alpha=0.05)
    assert [rule.harm_level(classes) for classes in (1, 2, 40, 100)] == pytest.approx([0.05, 0.05, 0.05, 0.02])
    assert rule.bound_level(10) == pytest.approx(0.1)
    assert Rule("accuracy", class_bound={"beagle": 0.1, "dingo": 0.1}).bound_level(100) == pytest.approx(0.1)


def test_not_worse_takes_what_is_not_shown_to_be_worse() -> None:
    rule = Rule("accuracy")
    for gained, lost in ((3, 3), (4, 3), (3, 4), (20, 22)):
        assert judge(rule, estimate(gained, lost), [a_class()]).outcome == PROMOTED
    assert judge(rule, estimate(4, 9), [a_class()]).why == WORSE  # p = 0.13


def test_less_log_loss_is_more() -> None:
    rule = Rule("log_loss")
    less = estimate(0, 0, metric="log_loss", challenger=0.2, champion=0.3, p_worse=0.97)
    assert judge(rule, less, []).outcome == PROMOTED
    more = estimate(0, 0, metric="log_loss", challenger=0.3, champion=0.2, p_worse=0.03)
    assert judge(rule, more, []).why == WORSE


@pytest.mark.promise(10)
def test_a_class_that_is_shown_to_lose_refuses_a_better_whole() -> None:
    """Fails when the test of a class is made at a hundredth of its level, as after many nights before."""
    rule = Rule("accuracy")
    classes = [a_class(lost=9, gained=0), a_class(name="dingo")]
    found = judge(rule, estimate(20, 9), classes)
    assert (found.outcome, found.why, [row.name for row in found.harmed]) == (REFUSED, HARMED, ["beagle"])
    among_many = [a_class(lost=6), *(a_class(name=f"class {i}") for i in range(199))]
    assert judge(rule, estimate(20, 6), among_many).outcome == PROMOTED  # 6 of 6: p = 0.016, and 200 classes ask for 0.01


def test_bounds_of_all_classes_and_of_single_ones() -> None:
    better, classes = estimate(20, 2), [a_class(lost=4, gained=0), a_class(name="dingo", lost=1)]
    assert judge(Rule("accuracy"), better, classes).outcome == PROMOTED  # 4 of 4: p = 0.0625
    assert judge(Rule("accuracy", class_bound=0.2), better, classes).outcome == PROMOTED
    refused = judge(Rule("accuracy", class_bound=0.05), better, classes)
    assert (refused.why, [row.name for row in refused.beyond]) == (BOUND, ["beagle"])
    assert judge(Rule("accuracy", class_bound={"dingo": 0.05}), better, classes).outcome == PROMOTED
    two = [a_class(lost=4), a_class(name="dingo", lost=5)]
    refused = judge(Rule("accuracy", class_bound={"dingo": 0.01, "beagle": 0.01}), better, two)
    assert [row.name for row in refused.beyond] == ["dingo", "beagle"]  # the worst first
    exactly = a_class(lost=4, n=40)
    assert judge(Rule("accuracy", class_bound=0.1), better, [exactly]).outcome == PROMOTED


@pytest.mark.promise(10)
def test_no_single_image_breaks_a_bound_and_that_is_said() -> None:
    """Fails when a bound compares points alone."""
    rule, small = Rule("accuracy", class_bound=0.05), a_class(lost=1, n=8)
    assert judge(rule, estimate(20, 2), [small]).outcome == PROMOTED
    assert is_coarse(small, rule)
    assert not is_coarse(a_class(n=20), rule)
    assert coarse_sentence([small], rule) == (
        " beagle has 8 test images: one image is 12.5 points, more than the bound of 5.0 points. "
        "One image alone refuses nobody; pin more images of it to judge that bound."
    )
    assert coarse_sentence([], rule) == ""


def test_better_also_asks_for_a_gain_that_is_shown() -> None:
    rule = Rule("accuracy", promote="better", min_gain=0.02)
    assert judge(rule, estimate(20, 2), []).outcome == PROMOTED
    assert judge(rule, estimate(5, 0), []).why == GAIN  # 1.7 points
    assert judge(rule, estimate(40, 30), []).why == NOT_SHOWN
    assert judge(Rule("accuracy", promote="better"), estimate(3, 3), []).why == GAIN


@pytest.mark.promise(10)
def test_what_luck_gave_the_champion_a_challenger_need_not_beat() -> None:
    """Twenty challengers at 80 %, and a champion at 83 % that was chosen on these images: 82.5 % is a gain. Fails when no luck
    is taken off the champion's score.
    """
    level = Level((0.8,) * 20, 40, 0.79)
    close = estimate(13, 14, challenger=0.825, champion=0.83)
    assert judge(Rule("accuracy", promote="better"), close, []).why == GAIN
    found = judge(Rule("accuracy", promote="better"), close, [], level)
    assert (found.why, found.luck) == (NOT_SHOWN, pytest.approx(0.03))  # 2.5 points, standard error 1.7
    sharp = replace(close, gained=3, lost=4, error=0.012)
    assert judge(Rule("accuracy", promote="better"), sharp, [], level).outcome == PROMOTED


@pytest.mark.promise(10)
def test_many_small_losses_add_up() -> None:
    """Each challenger 0.3 points below the one before: none is shown to be worse than that one, the fall is.

    Fails when a fall refuses nobody.
    """
    rule, level, fallen = Rule("accuracy"), Level.start(0.8, 0.01), 0
    for night in range(1, 40):
        score = 0.8 - 0.003 * night
        found = judge(rule, estimate(10, 11, challenger=score, champion=score + 0.003, spread=0.01), [], level)
        level = level.then(score, 0.01)
        fallen = fallen or (night if found.why == FALLEN else 0)
    assert 3 <= fallen <= 12


@pytest.mark.parametrize(
    ("rule", "compared", "classes", "said"),
    [
        (
            Rule("accuracy"),
            estimate(9, 4),
            [],
            "Promoted: new (seed 0) has accuracy 83.0 % on the 300 test images, the champion old 81.3 %",
        ),
        (Rule("accuracy"), estimate(4, 40), [], "Refused as worse (p < 0.001, below 0.2): new (seed 0) has accuracy 81.3 %"),
        (
            Rule("accuracy"),
            estimate(20, 9),
            [a_class(lost=9)],
            "beagle falls from 90.0 % to 60.0 % of its 30 images (9 lost, 0 gained",
        ),
        (
            Rule("accuracy", class_bound=0.01),
            estimate(20, 9),
            [a_class(lost=4)],
            "beagle falls from 90.0 % to 76.7 % of its 30 images (4 lost, 0 gained, p = 0.062, bound 1.0 point)",
        ),
        (
            Rule("accuracy", promote="better", min_gain=0.05),
            estimate(9, 4),
            [],
            "Refused for too small a gain (min_gain 5.0 points): new",
        ),
        (
            Rule("accuracy", promote="better"),
            estimate(9, 4),
            [],
            "Refused, the gain is not shown (p = 0.13, which must not be above 0.05): new",
        ),
        (
            Rule("log_loss"),
            estimate(9, 4, metric="log_loss", challenger=0.25, champion=0.3, low=-0.08, high=-0.02),
            [],
            "has log loss 0.250 on the 300 test images, the champion old 0.300: 0.050 less (95 % interval −0.080 to −0.020",
        ),
    ],
)
def test_sentences_carry_the_numbers(rule: Rule, compared: Estimate, classes: list[ClassTest], said: str) -> None:
    sentence = verdict_sentence(judge(rule, compared, classes), rule, 2, compared, "new (seed 0)", "old", "the 300 test images")
    assert said in sentence
    assert "These test images were asked 2 times." in sentence


# -- the challenger -----------------------------------------------------------------------------------------------------


def candidate(run: str, seed: int, accuracy: float, loss: float = 0.5) -> Candidate:
    return Candidate(run, seed, validation={"accuracy": accuracy, "log_loss": loss, "n": 100})


def test_the_best_run_on_the_whole_then_its_best_seed() -> None:
    lucky = [candidate("a", 0, 0.95), candidate("a", 1, 0.7), candidate("b", 0, 0.9), candidate("b", 1, 0.92)]
    assert choose(lucky, "accuracy") == lucky[3]


def test_ties_go_to_the_lower_log_loss_then_to_the_studys_order() -> None:
    tied = [candidate("a", 0, 0.9, 0.5), candidate("b", 0, 0.9, 0.4), candidate("c", 0, 0.9, 0.4)]
    assert choose(tied, "accuracy") == tied[1]
    by_loss = [candidate("a", 0, 0.99, 0.5), candidate("b", 0, 0.9, 0.4)]
    assert choose(by_loss, "log_loss") == by_loss[1]


def test_a_run_that_was_never_validated_comes_last() -> None:
    assert choose([Candidate("a", 0), candidate("b", 0, 0.1)], "accuracy").run == "b"
