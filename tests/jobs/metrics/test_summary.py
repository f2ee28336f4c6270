"""Intervals of all metrics: they cover the truth, hold groups together, and are never NaN."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from jobs.metrics.calibration import softmax
from jobs.metrics.registry import metrics
from jobs.metrics.summary import summarise
from jobs.statistics.bootstrap import percentile_interval, resample_weights
from jobs.statistics.predictions import Predictions

Draw = Callable[..., Predictions]


def test_resamples_keep_strata_and_groups() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1])
    groups = np.array([5, 5, 1, 2, 3, 3, 3, 4, 6])
    weights = np.concatenate(list(resample_weights(labels, groups, 500)), axis=1).T
    assert weights.shape == (500, 9)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 1])
    np.testing.assert_array_equal(weights[:, 4], weights[:, 6])
    units = weights[:, [0, 2, 3]].sum(axis=1)
    assert set(units) == {3.0}  # as many units of a class as there are
    assert weights.mean(axis=0) == pytest.approx(np.ones(9), abs=0.2)


def test_resamples_are_the_same_again_and_come_in_chunks() -> None:
    labels, groups = np.arange(3000) % 3, np.arange(3000)
    first, again, other = (np.concatenate(list(resample_weights(labels, groups, 400, seed)), axis=1) for seed in (0, 0, 1))
    assert first.shape == (3000, 400)
    assert len(list(resample_weights(labels, groups, 400))) > 1
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def _judged(n: int, seed: int) -> Predictions:
    chance = np.random.default_rng(seed)
    logits = chance.normal(scale=1.5, size=(n, 3))
    labels = (chance.random(n)[:, None] > softmax(0.7 * logits).cumsum(axis=1)).sum(axis=1)
    return Predictions(labels, softmax(logits), np.arange(n))


def test_intervals_cover_the_truth() -> None:
    """95 % intervals from 80 test sets of 250 images: each metric's truth, known from 200,000 images, is in nine of ten."""
    names = ["accuracy", "macro_f1", "macro_precision", "roc_auc", "average_precision", "log_loss", "brier", "ece"]
    truth = {name: metrics()[name].function(_judged(200_000, 999).ones())[0] for name in names}
    covered = dict.fromkeys(names, 0)
    for seed in range(80):
        for name, one in summarise({"0": _judged(250, seed)}, names=names).seeds["0"].items():
            assert one.low is not None
            assert one.high is not None
            covered[name] += one.low <= truth[name] <= one.high
    assert {name: count for name, count in covered.items() if count < 70} == {}


@pytest.mark.promise(5)
def test_groups_widen_the_intervals(draw: Draw) -> None:
    """Fails when the bootstrap draws images where they come in groups."""
    p = draw(n=200, margin=1.0)
    twice = {name: np.repeat(getattr(p, name), 2, axis=0) for name in ("labels", "probabilities")}
    apart = summarise({"0": Predictions(**twice, groups=np.arange(400))}).seeds["0"]
    together = summarise({"0": Predictions(**twice, groups=np.repeat(np.arange(200), 2))}).seeds["0"]
    for name in ("accuracy", "macro_f1", "log_loss"):
        widths = [one[name].high - one[name].low for one in (apart, together)]
        assert widths[1] == pytest.approx(widths[0] * np.sqrt(2), rel=0.1)


def test_no_mistake_is_no_proof_of_perfection(draw: Draw) -> None:
    p = draw(n=60, classes=2, margin=60.0)
    found = summarise({"0": p}).seeds["0"]
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "roc_auc", "average_precision"):
        assert found[name].value == 1.0
        assert found[name].high == 1.0
        assert 0.85 < found[name].low < 0.97, name


def test_mean_over_seeds(draw: Draw) -> None:
    first, second = draw(seed=0), draw(seed=0, margin=1.8)
    both = summarise({"0": first, "1": second})
    values = [both.seeds[seed]["macro_f1"].value for seed in ("0", "1")]
    mean = both.mean["macro_f1"]
    assert mean.value == pytest.approx(np.mean(values))
    assert mean.extra["sd"] == pytest.approx(np.std(values, ddof=1))
    assert mean.low < mean.value < mean.high
    one = summarise({"0": first})
    assert one.mean["macro_f1"].extra == {"sd": None, "seeds": 1}
    for name, estimate in one.mean.items():
        assert (estimate.value, estimate.low, estimate.high) == (
            one.seeds["0"][name].value,
            one.seeds["0"][name].low,
            one.seeds["0"][name].high,
        )


@pytest.mark.parametrize(
    ("labels", "probabilities"),
    [
        ([0], [[0.5, 0.5]]),  # one image, a tie
        ([0] * 20, [[1.0, 0.0]] * 20),  # one class, all right
        ([0] * 20, [[0.0, 1.0]] * 20),  # one class, all wrong and sure of it
        ([0, 1] * 10, [[0.7, 0.3]] * 20),  # always the same answer
        ([0, 1, 0, 1], [[0.5, 0.5]] * 4),
        ([0, 1] * 10, [[0.2, 0.3, 0.5]] * 20),  # a class that nothing belongs to and that is all that is predicted
        ([0] * 19 + [1], [[0.5, 0.5]] * 20),  # a class of one image
    ],
)
def test_degenerate_predictions_have_values_or_none(labels: list[int], probabilities: list[list[float]]) -> None:
    p = Predictions(np.array(labels), np.array(probabilities), np.arange(len(labels)))
    with np.errstate(all="raise"):
        document = summarise({"0": p, "1": p}).to_json()
    json.dumps(document, allow_nan=False)
    for name, one in document["seeds"]["0"].items():
        assert (one["value"] is None) == (one["method"] == "not defined"), name
        if one["low"] is not None:
            assert 0 <= one["low"] <= one["value"] <= one["high"], name
    assert document["seeds"]["0"]["accuracy"]["value"] is not None
    if len(set(labels)) == 1:
        assert document["seeds"]["0"]["roc_auc"]["why"] == "all test images are of one class"


def test_below_ten_images_counts_only(draw: Draw) -> None:
    found = summarise({"0": draw(n=9)}).seeds["0"]
    assert {one.method for one in found.values()} == {"counts only"}
    assert found["accuracy"].k is not None


def test_same_bytes_again(draw: Draw) -> None:
    documents = [json.dumps(summarise({"0": draw(), "1": draw(margin=1.0)}).to_json()) for _ in range(2)]
    assert documents[0] == documents[1]


def test_percentiles_leave_out_what_is_not_defined() -> None:
    values = np.linspace(0, 1, 101)
    assert percentile_interval(values) == pytest.approx((0.025, 0.975))
    assert percentile_interval(np.append(values, np.nan)) == pytest.approx((0.025, 0.975))
    assert percentile_interval(np.append(values, [np.nan] * 50)) is None
