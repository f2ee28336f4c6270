"""The rules: what is shown is recommended, ties are ties, cheaper ones win these only where they are near, luck never."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.advice.baselines import FOR_TAU, rank_scores
from jobs.advice.choice import MARGIN, choose
from jobs.advice.judging import Images, Judged, JudgedLayer, share_of
from jobs.advice.sentences import sentences
from jobs.statistics.ranks import weighted_tau
from tlbatch.contracts.advice import AskedCandidate

N = 1000
UNITS = np.arange(N)


def images(n: int = N) -> Images:
    return Images(tuple(map(str, range(n))), np.arange(n) % 2, np.arange(n), ("cat", "dog"), n + 100)


def layer(name: str, right: np.ndarray) -> JudgedLayer:
    share = share_of(right, np.arange(len(right)))
    return JudgedLayer(name, name, 8, share, share, 0.1, 0.2, right)


def judged(name: str, wrong: range, *, work: float = 1.0, floor: bool = False, others: tuple[range, ...] = ()) -> Judged:
    asked = AskedCandidate(
        name=name,
        title=name,
        floor=floor,
        asked=None if floor else 0,
        backbone=name,
        parameters=int(1e6 * work),
        top1=70.0 + work,
        top1_of="",
        work=work,
        input={},
    )
    layers = [layer(f"other{number}", right_but(each)) for number, each in enumerate(others)]
    return Judged(asked, (*layers, layer("last", right_but(wrong))), "last", None, None)


def right_but(wrong: range) -> np.ndarray:
    right = np.ones(N, dtype=bool)
    right[list(wrong)] = False
    return right


FLOOR = judged("random", range(400), floor=True)


def test_what_is_shown_to_be_better_is_recommended_though_it_is_dearer() -> None:
    choice = choose([judged("small", range(100), work=1), judged("large", range(10), work=9), FLOOR], images())
    assert (choice.recommended.name, choice.ties, choice.how) == ("large", (), "features")
    assert "and it is shown to be better than small" in sentences(choice, [], images())[0]


def test_a_tie_is_called_one_and_the_cheaper_is_recommended() -> None:
    choice = choose([judged("small", range(12), work=1), judged("large", range(10), work=9), FLOOR], images())
    assert [rival.contender.name for rival in choice.ties] == ["small"]
    assert choice.recommended.name == "small"
    said = " ".join(sentences(choice, rank_scores({"top1": {}, "largest": {}}, {"small": 1.0, "large": 1.0}), images()))
    assert "A tie: large is right most often, and it is not shown to be better than small" in said
    assert "small is recommended although" in said


def test_a_tie_by_few_images_costs_no_points_that_were_measured() -> None:
    """Not told apart, and cheaper, but further below than half a point: the best as measured."""
    choice = choose([judged("small", range(60, 75), work=1), judged("large", range(5), work=9), FLOOR], images())
    assert choice.ties
    assert choice.best.accuracy - choice.ties[0].contender.accuracy > MARGIN
    assert choice.recommended.name == "large"


def test_another_layer_is_taken_only_where_it_is_shown_to_be_better() -> None:
    lucky = judged("lucky", range(20), others=(range(17),))
    better = judged("better", range(90), others=(range(17),))
    assert choose([lucky, FLOOR], images()).recommended.layer.name == "last"
    assert choose([better, FLOOR], images()).recommended.layer.name == "other0"


@pytest.mark.slow
def test_the_luckiest_of_many_layers_of_noise_is_not_taken() -> None:
    """Twenty layers that are equally right by chance: Holm's correction; in 200 draws it is wrong in one of twenty at most."""
    chance, taken = np.random.default_rng(0), 0
    for _ in range(200):
        right = chance.random((21, N)) < 0.9
        layers = tuple(layer(f"l{number}", row) for number, row in enumerate(right))
        asked = judged("x", range(1)).asked
        taken += choose([Judged(asked, layers, "l20", None, None)], images()).recommended.layer.name != "l20"
    assert taken <= 0.05 * 200 + 2


def test_no_gain_over_random_weights_means_from_scratch() -> None:
    choice = choose([judged("net", range(395)), FLOOR], images())
    assert choice.how == "scratch"
    assert sentences(choice, [], images())[0].startswith("No pretrained network is shown to help")


def test_scores_are_held_against_top1() -> None:
    truth = {"a": 0.9, "b": 0.8, "c": 0.7}
    found = rank_scores({"top1": {"a": 60, "b": 70, "c": 50}, "logme": {"a": 3, "b": 2, "c": 1}, "nce": {"c": 1}}, truth)
    by = {each.score: each for each in found}
    assert (by["logme"].below, by["logme"].beats_top1) == (0.0, True)
    assert by["top1"].below == pytest.approx(0.1)
    assert (by["nce"].known, by["nce"].beats_top1, by["nce"].tau) == (1, None, None)


def test_a_score_no_better_than_top1_is_shown_as_such_and_tau_comes_with_eight() -> None:
    names = [f"n{number}" for number in range(FOR_TAU)]
    truth = {name: 0.5 + 0.05 * number for number, name in enumerate(names)}
    values: dict[str, dict[str, float | None]] = {
        "top1": {name: float(number) for number, name in enumerate(names)},
        "logme": {name: float(-number) for number, name in enumerate(names)},
    }
    by = {each.score: each for each in rank_scores(values, truth)}
    assert by["top1"].tau == pytest.approx(1.0)
    assert by["logme"].beats_top1 is False
    assert weighted_tau([1.0], [1.0]) is None
