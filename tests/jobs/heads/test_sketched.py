"""Steps by a sketch of the Gram matrix: the same minimum, whatever the sketch leaves out, and on with G where it misleads.

Broken once each, and a test red each time: a gradient not divided by curvatures, nothing of each image's own, outputs of a step
left as the sketch has them, a start of one half or of the other sign, one that is not asked for by what serves, a search that
ends where the sketch or patience does, a form without that forgets the penalty, directions that are not there, no sketch.
"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from jobs.heads import held_out, logistic, newton, sketched
from jobs.heads.held_out import begun, images_of, penalty_of, search, walk
from jobs.heads.logistic import fit
from jobs.heads.multinomial import ByFeatures, ByRows, objective
from jobs.heads.sketched import RANK, WORTH, Sketched, first_form
from jobs.metrics.label_errors import out_of_fold
from tests.jobs.heads.test_multinomial import clouds, probabilities, scikit_learn, whole

LEAST = WORTH * RANK
SHAPES = [(520, 700), (900, 520)]  # by G, through the features
GO = lambda: None  # noqa: E731


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sketches of so few directions that a small problem has one."""
    monkeypatch.setattr(sketched, "RANK", 8)


def dense(regression: Sketched) -> tuple[np.ndarray, np.ndarray]:
    """G and the sketch of it, [n, n]."""
    z = regression.images.standard(regression.images.features[regression.images.rows], precision=np.float64)
    return z @ z.T, regression._shared.T.astype(np.float64) @ regression._shared + np.diag(regression._own)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("n", "d", "classes"), [(80, 100, 2), (80, 100, 7), (120, 70, 7), (160, 70, 5)])
@pytest.mark.parametrize("c", [1e-3, 0.1, 10.0])
def test_the_minimum_is_scikit_learns(n: int, d: int, classes: int, c: float) -> None:
    images = whole(n, d, classes, np.random.default_rng(0).exponential(size=n))
    form, point = walk(first_form(images), Sketched(images).start(), None, c, 1e-4, GO)
    form, found = search(form, form.settled(point.astype(np.float64)), 1e-10, GO)
    assert found.share <= 1e-10
    expected = scikit_learn(images, c).predict_proba(images.standard(images.features, precision=np.float64))
    np.testing.assert_allclose(probabilities(images, *form.weights(found.point)), expected, atol=2e-4)


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_the_sketch_has_the_diagonal_and_most_of_what_images_share(n: int, d: int) -> None:
    gram, sketch = dense(Sketched(whole(n, d, 5)))
    np.testing.assert_allclose(np.diagonal(sketch), np.diagonal(gram), rtol=1e-3)
    best = np.linalg.eigvalsh(gram)[-RANK // 2 :]
    np.testing.assert_allclose(np.linalg.eigvalsh(sketch)[-RANK // 2 :], best, rtol=0.1)


@pytest.mark.parametrize(("n", "d"), SHAPES)
@pytest.mark.parametrize("loud", [1.0, 1e4])
def test_a_preconditioned_gradient_solves_the_sketchs_system(n: int, d: int, loud: float) -> None:
    """(D S + penalty) A = R with S the sketch, and the outputs it carries along are A S, however loud the penalty."""
    regression, chance = Sketched(whole(n, d, 3)), np.random.default_rng(0)
    at = regression.at(regression.settled(chance.normal(size=regression.start().shape).astype(np.float32) / 1e3))
    regression.penalty = loud * float((at.curvature * np.diagonal(dense(regression)[0])).mean())
    regression.factor(at)
    gradient = chance.normal(size=regression.paired).astype(np.float32)
    margins, _, coefficients = regression._parts(regression.precondition(gradient).astype(np.float64))
    along = coefficients @ dense(regression)[1]
    own = gradient[: 3 * n].reshape(3, n)
    np.testing.assert_allclose(regression._weight * along + regression.penalty * coefficients, own, atol=1e-3)
    np.testing.assert_allclose(margins, along, atol=1e-3 * np.abs(along).max())


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_a_search_begins_near_what_it_is_given(n: int, d: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """And takes less for it; images that repeat are no matter."""
    x, y = clouds(n, d, 6)
    x[n // 2 : n // 2 + 20] = x[:20]
    images = images_of(x, y, np.arange(n), np.ones(n))
    regression, c = Sketched(images), 1e-3
    _, point = walk(regression, regression.start(), None, c, 1e-6, GO)
    given = regression.weights(point)
    start = regression.begun(*given)
    assert start is not None
    np.testing.assert_array_equal(regression.settled(start), start)
    far, near, end = (regression.at(own).loss for own in (regression.start(), start, point))
    assert near - end < 0.01 * (far - end)
    assert newton.minimise(regression, start, relative=1e-6).turns < 5
    assert newton.minimise(regression, regression.start(), relative=1e-6).turns > 7
    assert begun(regression, given, c)[0] is regression
    with monkeypatch.context() as own:
        own.setattr(Sketched, "settled", None)  # it is not even tried
        form, point = begun(regression, given, 10.0)
    assert type(form) is (ByRows if images.by_rows else ByFeatures), "the sketch does not serve there"
    assert form.penalty == penalty_of(10.0, 6)
    assert form.at(point).loss < 1.1 * float(form.penalty) / 2 * (given[0] ** 2).sum() + form.at(form.start()).loss
    regression.penalty = penalty_of(c, 6)
    assert regression.begun(-given[0], given[1]) is None, "what it would lead to is far worse than what was given"


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_a_search_begins_at_a_minimum(n: int, d: int) -> None:
    """Fails when a start must be no worse than what is given: at a minimum any other point is."""
    x, y = clouds(n, d, 40)
    images, c = images_of(x, y, np.arange(n), np.ones(n)), 0.03
    regression = Sketched(images)
    _, point = walk(regression, regression.start(), None, c, 1e-7, GO)
    start = regression.begun(*regression.weights(point))
    assert start is not None
    assert regression.at(start).loss == pytest.approx(regression.at(point).loss, rel=1e-5)


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_outputs_are_those_of_the_weights(n: int, d: int) -> None:
    images = whole(n, d, 4)
    regression = Sketched(images)
    _, point = walk(regression, regression.start(), None, 1e-3, 1e-5, GO)
    margins, bias, _ = regression._parts(point)
    weight, of_bias = regression.weights(point)
    z = images.standard(images.features, precision=np.float64)
    np.testing.assert_allclose(margins + bias[:, None], (z @ weight.T + of_bias).T, atol=1e-3)
    exact = regression.settled(point.astype(np.float64))
    np.testing.assert_allclose(exact[: regression.k * n].reshape(-1, n), weight @ z.T, atol=1e-6)


def test_form_follows_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    def form(n: int, d: int) -> type:
        return type(first_form(whole(n, d, 2)))

    assert form(LEAST, LEAST) is Sketched
    assert form(LEAST - 1, 2 * LEAST) is ByRows
    assert form(2 * LEAST, LEAST - 1) is ByFeatures
    assert form(2 * LEAST, LEAST) is Sketched
    assert form(3 * LEAST, LEAST) is ByFeatures
    monkeypatch.setattr(sketched, "HELD", 1000)
    assert form(LEAST, LEAST) is Sketched
    assert form(2 * LEAST, LEAST) is ByFeatures
    monkeypatch.setattr(sketched, "HELD", 10**9)
    monkeypatch.setattr(sketched, "KEPT_BYTES", 1000)
    assert form(2 * LEAST, LEAST) is ByFeatures
    few = first_form(whole(LEAST + 100, LEAST, 2))
    assert isinstance(few, Sketched)
    assert few._z is None, "nor are they kept where G serves"


@pytest.mark.parametrize(("n", "d"), [*SHAPES, (1200, 520)])
def test_where_it_leaves_out_too_much_a_search_goes_on_without(n: int, d: int) -> None:
    """At the same point, with the same penalty, to the minimum; where penalties are strong it is used to the end."""
    images = whole(n, d, 3)
    form, point = walk(first_form(images), Sketched(images).start(), None, 1e-4, 1e-4, GO)
    assert isinstance(form, Sketched)
    form.penalty = penalty_of(10.0, 3)
    assert not form.serves(form.at(point).curvature)
    other, same = form.without(point, 1)
    assert type(other) is (ByRows if images.by_rows else ByFeatures)
    assert other.penalty == form.penalty
    assert other.at(same).loss == pytest.approx(form.at(point).loss, rel=1e-5)
    form, point = walk(form, point, 1e-4, 10.0, 1e-4, GO)
    assert type(form) is type(other)
    exact = objective(images)
    expected = walk(exact, exact.start(), None, 10.0, 1e-6, GO)
    assert form.at(point).loss == pytest.approx(exact.at(expected[1]).loss, rel=1e-3)


@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_a_search_that_patience_ends_goes_on_without(precision: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """From where it is, to the minimum."""
    images = whole(520, 700, 6)
    regression, exact = Sketched(images), ByRows(images)
    monkeypatch.setattr(newton, "PATIENCE", 1)
    exact.penalty = regression.penalty = penalty_of(1e-3, 6)
    assert regression.serves(regression.at(regression.start()).curvature)
    form, found = search(regression, regression.start().astype(precision), 1e-6, GO)
    assert type(form) is ByRows
    assert found.share <= 1e-6
    assert found.at.loss == pytest.approx(newton.minimise(exact, exact.start(), relative=1e-6).at.loss, rel=1e-5)


@pytest.mark.parametrize("c", [1e-3, 1.0])
@pytest.mark.parametrize("kind", ["copies", "constant", "nothing"])
def test_images_that_span_little(kind: str, c: float) -> None:
    """Fewer directions than the sketch has: copies, a few features that vary, none. Beside scikit-learn to its end."""
    x, y = clouds(LEAST + 8, LEAST + 60, 3)
    if kind == "copies":
        x = x[np.arange(len(x)) % 7]
    else:
        x[:, (0 if kind == "nothing" else 5) :] = 3.0
    found = fit(x, y, 3, cs=[c], folds=5, seed=0)
    images = images_of(x, y, np.arange(len(x)), np.ones(len(x)))
    assert np.isfinite(Sketched(images)._shared).all()
    z = images.standard(x, precision=np.float64)
    theirs = LogisticRegression(C=c, tol=1e-10, max_iter=20_000).fit(z, y).predict_proba(z)
    raw = found.logits(x)
    ours = np.exp(raw - raw.max(axis=1, keepdims=True))
    np.testing.assert_allclose(ours / ours.sum(axis=1, keepdims=True), theirs, atol=3e-4)


def drawn() -> tuple[np.ndarray, np.ndarray]:
    """Twenty classes that overlap, one label in thirty wrong."""
    chance = np.random.default_rng(3)
    y = np.arange(1100) % 20
    width = np.arange(1, 561) ** -0.5
    x = ((chance.normal(size=(20, 560))[y] + 2.5 * chance.normal(size=(1100, 560))) * width).astype(np.float32)
    y[::30] = (y[::30] + 1) % 20
    return x, y


def test_heads_and_wrong_labels_are_what_they_are_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """C, the regression that is kept, and the first suspects; and it was used."""
    x, y = drawn()
    used, found = list[int](), []
    honest = Sketched.factor
    monkeypatch.setattr(Sketched, "factor", lambda self, at: used.append(self.n) or honest(self, at))
    for form in (first_form, objective):
        for module in (held_out, logistic):
            monkeypatch.setattr(module, "first_form", form)
        used.clear()
        head = fit(x, y, 20, cs=(1e-4, 1e-3, 1e-2, 0.1), folds=5, seed=0)
        odds = out_of_fold(x, y, 20, np.arange(len(y)))
        assert (set(used) == {880, 1100}) is (form is first_form)
        found.append((head, odds))
    (ours, of_ours), (theirs, of_theirs) = found
    assert ours.c == theirs.c
    np.testing.assert_allclose(ours.weight, theirs.weight, atol=5e-4 * np.abs(theirs.weight).max())
    np.testing.assert_allclose(of_ours.p_label, of_theirs.p_label, atol=5e-3)
    first = np.argsort(-of_ours.log, kind="stable")[:30]
    assert of_theirs.log[first].min() > np.sort(of_theirs.log)[-30] - 0.05


def test_the_process_threads_change_no_bit() -> None:
    x, y = drawn()
    found = []
    for number in (1, 2, 4):
        with threadpool_limits(number, user_api="blas"):
            head = fit(x, y, 20, cs=(1e-3, 1e-2), folds=5, seed=0)
            found.append([head.weight, head.bias, out_of_fold(x, y, 20, np.arange(len(y))).p_label])
    for other in found[1:]:
        for ours, theirs in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(ours, theirs)
