"""The logistic head: scikit-learn's on features over shrunken deviations, C by cross-validation, folds keep groups."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from jobs.heads.folds import folds_of
from jobs.heads.logistic import DEFAULT_C, fit
from jobs.heads.standard import PRIOR
from tlbatch.errors import DataError


def _clouds(n: int, d: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    centres = chance.normal(size=(classes, d))
    return (centres[labels] + 1.5 * chance.normal(size=(n, d))).astype(np.float32) * 3 + 7, labels.astype(np.int64)


@pytest.mark.parametrize(("d", "classes"), [(5, 2), (5, 4), (90, 3)])  # the last has more dimensions than images
def test_equals_scikit_learn(d: int, classes: int) -> None:
    x, y = _clouds(60, d, classes)
    fitted = fit(x, y, classes, cs=[0.1], folds=5, seed=0)
    own = np.cov(x.astype(np.float64), rowvar=False, bias=True).diagonal()
    shrunk = np.average([own, np.full(d, own.mean())], axis=0, weights=[60, PRIOR])
    z = StandardScaler().fit_transform(x.astype(np.float64)) * np.sqrt(own / shrunk)
    expected = LogisticRegression(C=0.1, tol=1e-8, max_iter=5000).fit(z, y).predict_proba(z)
    logits = x @ fitted.weight.T + fitted.bias
    p = np.exp(logits - logits.max(1, keepdims=True))
    np.testing.assert_allclose(p / p.sum(1, keepdims=True), expected, atol=2e-3)


def test_a_feature_that_is_quiet_by_luck_is_not_the_loudest() -> None:
    """One label of each of ten classes, all features as wide in truth: breaks with the plain standard deviation."""
    better = []
    for seed in range(20):
        x, y = _clouds(410, 200, 10, seed)
        z = StandardScaler().fit(x[:10])
        plain = LogisticRegression(C=DEFAULT_C, max_iter=5000).fit(z.transform(x[:10]), y[:10])
        ours = (fit(x[:10], y[:10], 10, cs=[DEFAULT_C], folds=5, seed=0).logits(x[10:]).argmax(axis=1) == y[10:]).mean()
        better.append(ours - plain.score(z.transform(x[10:]), y[10:]))
    assert np.mean(better) > 0.005
    assert np.mean(np.array(better) > 0) > 0.8


def test_c_is_the_best_of_cross_validation() -> None:
    x, y = _clouds(80, 200, 2)
    fitted = fit(x, y, 2, cs=[1e-4, 1e-2, 1.0], folds=4, seed=0)
    assert len(fitted.cv) == 3
    assert fitted.c == min(fitted.cv, key=lambda row: row["log_loss"])["c"]
    again = fit(x, y, 2, cs=[1e-4, 1e-2, 1.0], folds=4, seed=0)
    assert np.array_equal(fitted.weight, again.weight)


def test_a_class_without_images_is_never_predicted() -> None:
    x, y = _clouds(40, 5, 2)
    fitted = fit(x, y * 2, 3, cs=[0.1, 1.0], folds=4, seed=0)
    assert set((x @ fitted.weight.T + fitted.bias).argmax(axis=1)) == {0, 2}


def test_one_class_is_refused_in_words() -> None:
    x, y = _clouds(10, 3, 1)
    with pytest.raises(DataError, match="one class only"):
        fit(x, y, 2, cs=[1.0], folds=2, seed=0)


def test_folds_are_stratified_and_keep_groups_together() -> None:
    labels = np.arange(40) % 2
    groups = [f"pair{index // 4}-{index % 2}" for index in range(40)]
    parts = folds_of(labels.astype(np.int64), 5, 0, groups)
    assert sorted(np.concatenate(parts)) == list(range(40))
    for part in parts:
        assert abs(int((labels[part] == 0).sum()) - 4) <= 1
        for other in parts:
            if other is not part:
                assert not {groups[i] for i in part} & {groups[i] for i in other}


def test_one_label_a_class_has_the_default_c() -> None:
    """Nothing held out is of a class that was learnt, so that every C is as bad: the smallest was taken, which learns least."""
    x, y = _clouds(4, 6, 4)
    for groups in (None, ["a", "b", "c", "d"]):
        fitted = fit(x, y, 4, cs=[1e-4, 1e-2, 10.0], folds=5, seed=0, groups=groups)
        assert (fitted.c, fitted.cv) == (DEFAULT_C, [])
        assert "too few labels" in fitted.sentence
    copies = fit(np.repeat(x, 3, axis=0), np.repeat(y, 3), 4, cs=[1e-4, 10.0], folds=5, seed=0, groups=list("aaabbbcccddd"))
    assert copies.c == DEFAULT_C  # copies of one picture are one label
    assert fit(x, y, 4, cs=[0.3], folds=5, seed=0).sentence == "C = 0.3"
