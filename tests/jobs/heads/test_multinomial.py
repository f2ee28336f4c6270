"""Both forms of the regression beside scikit-learn's, taken to its end, and beside each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from jobs.heads import newton
from jobs.heads.held_out import along, images_of, penalty_of, walk
from jobs.heads.multinomial import ByFeatures, ByRows, Images, objective
from jobs.heads.standard import PRIOR, standard_of
from jobs.metrics.calibration import softmax

FORMS = (ByRows, ByFeatures)


def clouds(n: int, d: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping classes whose features are of falling width, far from zero."""
    chance = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    width = np.arange(1, d + 1) ** -0.5
    x = (chance.normal(size=(classes, d))[labels] + 1.5 * chance.normal(size=(n, d))) * width @ chance.normal(size=(d, d))
    return (x + 30).astype(np.float32), labels.astype(np.int64)


def whole(n: int, d: int, classes: int, counts: np.ndarray | None = None) -> Images:
    x, y = clouds(n, d, classes)
    return images_of(x, y, np.arange(n), np.ones(n) if counts is None else counts)


def scikit_learn(images: Images, c: float) -> LogisticRegression:
    z = images.standard(images.features, precision=np.float64)
    return LogisticRegression(C=c, tol=1e-9, max_iter=20_000).fit(z, images.labels, sample_weight=images.counts)


def minimum(regression: ByRows | ByFeatures, c: float) -> np.ndarray:
    """As far as double precision goes, from where single precision leads."""
    point = walk(regression, regression.start(), None, c, 1e-5, lambda: None)[1]
    return newton.minimise(regression, regression.settled(point.astype(np.float64)), relative=1e-10).point


def probabilities(images: Images, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    return softmax(images.standard(images.features, precision=np.float64) @ weight.T + bias)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("n", "d", "classes"), [(80, 30, 2), (120, 30, 7), (60, 200, 5)])
@pytest.mark.parametrize("c", [1e-3, 0.1, 10.0])
def test_the_minimum_is_scikit_learns(form: type, n: int, d: int, classes: int, c: float) -> None:
    """Mutations tried: no bias in the gradient, the penalty of two classes as of more, outputs not scaled by D."""
    images = whole(n, d, classes)
    regression = form(images)
    point = minimum(regression, c)
    expected = scikit_learn(images, c).predict_proba(images.standard(images.features, precision=np.float64))
    np.testing.assert_allclose(probabilities(images, *regression.weights(point)), expected, atol=2e-4)


@pytest.mark.parametrize("form", FORMS)
def test_images_that_count_more(form: type) -> None:
    counts = np.random.default_rng(0).exponential(size=150) ** 3
    images = whole(150, 40, 4, counts)
    regression = form(images)
    point = minimum(regression, 0.05)
    expected = scikit_learn(images, 0.05).predict_proba(images.standard(images.features, precision=np.float64))
    np.testing.assert_allclose(probabilities(images, *regression.weights(point)), expected, atol=2e-4)


def of_forty(form: type, chance: np.random.Generator, *, counted: bool) -> Any:
    """A regression on forty images of three classes, which count alike or not, with a penalty of 2."""
    regression = form(whole(40, 30, 3, chance.exponential(size=40) if counted else None))
    regression.penalty = 2.0
    return regression


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("counted", [False, True])
def test_gradients_are_those_of_the_loss(form: type, counted: bool) -> None:
    """By differences of the loss along random steps, in the inner product that the minimisation uses."""
    chance = np.random.default_rng(1)
    regression = of_forty(form, chance, counted=counted)

    def somewhere() -> np.ndarray:
        step = regression.settled(chance.normal(size=regression.start().shape))
        return step / np.abs(step[: regression.paired]).max()

    point, step = somewhere(), somewhere()
    rise = (regression.at(point + 1e-6 * step).loss - regression.at(point - 1e-6 * step).loss) / 2e-6
    assert float(step[: regression.paired] @ regression.at(point).gradient) == pytest.approx(rise, rel=1e-5)


def test_single_precision_comes_as_near_as_it_says() -> None:
    """The figure that a fold's regression stops by, beside the true minimum: not ten times as far above it."""
    images = whole(100, 150, 6)
    for place, (weight, bias), _ in along(images, [1e-3, 1e-2, 0.1], 1e-5, lambda: None):
        c = [1e-3, 1e-2, 0.1][place]
        model = scikit_learn(images, c)
        losses = [
            -np.log(p[np.arange(100), images.labels]).sum() + penalty_of(c, 6) / 2 * (w**2).sum()
            for p, w in (
                (probabilities(images, weight, bias), weight),
                (probabilities(images, model.coef_, model.intercept_), model.coef_),
            )
        ]
        assert 0 < losses[0] / losses[1] - 1 < 1e-4


def test_form_follows_numbers() -> None:
    assert isinstance(objective(whole(40, 30, 2), np.float32), ByRows)
    assert isinstance(objective(whole(50, 30, 2), np.float32), ByFeatures)


def test_features_are_standardised_by_blocks_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    x, _ = clouds(50, 30, 2)
    rows = np.arange(5, 45)
    x64 = x.astype(np.float64)[rows]
    variance = x64.var(axis=0)
    expected = (x64 - x64.mean(axis=0)) / np.sqrt((40 * variance + PRIOR * variance.mean()) / (40 + PRIOR))
    monkeypatch.setattr("jobs.heads.standard.NEAR_BYTES", 7 * 8 * 30)
    np.testing.assert_allclose(standard_of(x, rows)(x[rows], precision=np.float64), expected, atol=1e-9)


def test_constant_features_and_separable_classes_end() -> None:
    x = np.zeros((20, 3), np.float32)
    x[:10, 0] = 1
    images = images_of(x, np.repeat([0, 1], 10), np.arange(20), np.ones(20))
    for form in FORMS:
        regression = form(images)
        weight, bias = regression.weights(walk(regression, regression.start(), None, 1e6, 1e-5, lambda: None)[1])
        assert np.isfinite(weight).all()
        assert (probabilities(images, weight, bias).argmax(axis=1) == images.labels).all()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("counted", [False, True])
def test_products_with_the_hessian_are_changes_of_the_gradient(form: type, counted: bool) -> None:
    """By differences of gradients along random steps. Mutation tried: diag p without p pᵀ."""
    chance = np.random.default_rng(1)
    regression = of_forty(form, chance, counted=counted)
    regression.factor(regression.at(regression.start().astype(np.float64)))  # so that a step is of one piece

    def somewhere() -> np.ndarray:
        step = regression.precondition(chance.normal(size=regression.paired).astype(np.float32))
        return regression.settled(step.astype(np.float64) / np.abs(step[: regression.paired]).max())

    point, step = somewhere(), somewhere()
    regression.linearise(regression.at(point))
    change = (regression.at(point + 1e-4 * step).gradient - regression.at(point - 1e-4 * step).gradient) / 2e-4
    product = regression.product(step.astype(np.float32))
    np.testing.assert_allclose(product, change, atol=2e-3 * np.abs(change).max())


def test_probabilities_that_are_not_kept_are_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it matter where features are not kept. Fails when products are of another point than the one looked at last."""
    found = []
    for kept in (2**30, 0):
        monkeypatch.setattr("jobs.heads.multinomial.CHANCES_BYTES", kept)
        monkeypatch.setattr("jobs.heads.multinomial.KEPT_BYTES", kept)
        monkeypatch.setattr("jobs.heads.multinomial.BLOCK", 32)
        regression = ByFeatures(whole(100, 30, 4))
        found.append(minimum(regression, 0.1))
        regression.linearise(regression.at(found[-1]))
        assert (regression._chances is None) is (kept == 0)
    np.testing.assert_allclose(found[1], found[0], atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_a_search_may_begin_anywhere(form: type) -> None:
    """Outputs are those of the weights, as far as the images span these, copies among them; and the minimum is the same.

    Mutations tried: no intercept, outputs that are not those of the coefficients, nothing added to the Gram matrix.
    """
    x, y = clouds(60, 90, 4)
    x[50:] = x[40:50]  # the Gram matrix is singular
    images = images_of(x, y, np.arange(60), np.ones(60))
    regression = form(images)
    expected = regression.weights(minimum(regression, 0.1))
    start = regression.start(*expected)
    found = regression.weights(start)
    z = images.standard(images.features, precision=np.float64)
    np.testing.assert_allclose(z @ found[0].T + found[1], z @ expected[0].T + expected[1], atol=2e-3)
    np.testing.assert_allclose(regression.settled(start), start, atol=1e-4)
    regression.penalty = penalty_of(0.1, 4)
    near = newton.minimise(regression, start, relative=1e-5)
    assert near.turns < newton.minimise(regression, regression.start(), relative=1e-5).turns / 2
    np.testing.assert_allclose(
        probabilities(images, *regression.weights(near.point)), probabilities(images, *expected), atol=0.01
    )


def test_what_a_look_saw_is_kept_for_steps_from_there_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products are of the point that was linearised: whether it was looked at last, or another was, before or after."""
    regression, chance = ByFeatures(whole(100, 30, 4)), np.random.default_rng(0)
    point, other, step = (chance.normal(size=regression.paired).astype(np.float32) for _ in range(3))
    at = regression.at(point)
    regression.linearise(at)
    expected, kept = regression.product(step), regression._chances
    made = list[slice]()
    honest = regression._chances_of
    monkeypatch.setattr(regression, "_chances_of", lambda places: made.append(places) or honest(places))
    regression.linearise(regression.at(point))
    assert not made, "what was seen is not made again"
    regression.at(other)
    np.testing.assert_allclose(regression.product(step), expected, rtol=1e-4, atol=1e-4)
    regression.linearise(at)
    assert made
    np.testing.assert_allclose(regression.product(step), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(regression._chances, kept, atol=1e-6)


@pytest.mark.parametrize("loud", [3.0, 30.0, 3e4])
def test_outputs_of_a_step_are_those_of_its_coefficients(loud: float) -> None:
    """However loud the penalty: a difference of large numbers does not eat them. Fails with LOUD at a million."""
    regression = ByRows(whole(100, 150, 6))
    at = regression.at(regression.start())
    for penalty in (1.0, loud * float((at.curvature * np.diagonal(regression.gram)).mean())):
        regression.penalty = penalty
        regression.factor(at)
        step = regression.precondition(np.random.default_rng(0).normal(size=regression.paired).astype(np.float32))
        exact = regression.settled(step.astype(np.float64))
        np.testing.assert_allclose(step, exact, atol=1e-4 * np.abs(exact[: regression.k * regression.n]).max())


@pytest.mark.parametrize(("n", "d"), [(300, 100), (150, 200)])
def test_double_precision_takes_few_looks_in_double_precision(n: int, d: int) -> None:
    """Steps are found in single precision: a look in double is paid a few times, and the minimum is none the worse for it."""
    regression, looks = objective(whole(n, d, 12)), list[type]()
    point = walk(regression, regression.start(), None, 0.1, 1e-5, lambda: None)[1]
    at = regression.at
    regression.at = lambda point: looks.append(point.dtype.type) or at(point)  # type: ignore[method-assign,func-returns-value]
    found = newton.minimise(regression, regression.settled(point.astype(np.float64)), relative=1e-9)
    assert found.share < 1e-9
    assert 10 < found.turns < 60
    assert len(looks) <= 5
    assert set(looks) == {np.float64}
    np.testing.assert_allclose(regression.settled(found.point), found.point, atol=1e-12)


def test_a_step_that_misleads_is_not_taken() -> None:
    """Products a thousand times too small, so that steps overshoot: the loss falls at every step all the same."""
    images = whole(60, 20, 3)
    regression = ByFeatures(images)
    seen: list[float] = []
    honest, at = regression.product, regression.at
    regression.product = lambda step: honest(step) / 1000  # type: ignore[method-assign]
    regression.at = lambda point: seen.append(at(point).loss) or at(point)  # type: ignore[method-assign,func-returns-value]
    found = newton.minimise(regression, regression.start(), relative=1e-5)
    regression.product = honest  # type: ignore[method-assign]
    assert max(seen) > seen[0]  # it did overshoot
    assert found.at.loss == pytest.approx(newton.minimise(regression, regression.start(), relative=1e-5).at.loss, rel=1e-4)


def test_a_preconditioner_that_fails_away_from_where_it_was_made_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its steps lead uphill but where it was just made: the minimum is reached. Fails when the search gives up at once."""
    regression = ByFeatures(whole(60, 20, 3))
    honest, factor = newton._newton_step, regression.factor
    fresh = False

    def made(at: newton.At) -> None:
        nonlocal fresh
        fresh = True
        factor(at)

    def misleading(*args: object) -> tuple[np.ndarray, int]:
        nonlocal fresh
        step, turns = honest(*args)  # type: ignore[arg-type]
        step, fresh = step if fresh else -step, False
        return step, turns

    regression.factor = made  # type: ignore[method-assign]
    monkeypatch.setattr(newton, "_newton_step", misleading)
    found = newton.minimise(regression, regression.start(), relative=1e-5)
    monkeypatch.setattr(newton, "_newton_step", honest)
    assert found.share <= 1e-5
    assert found.at.loss == pytest.approx(newton.minimise(regression, regression.start(), relative=1e-5).at.loss, rel=1e-4)
