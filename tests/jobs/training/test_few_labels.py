"""Class means and nearest neighbours: equal to scikit-learn's, one label a class included; as layers the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.preprocessing import normalize

from jobs.heads.fitting import fit_head
from jobs.heads.neighbours import DEFAULT_K, fit
from jobs.heads.prototypes import ClassMeans, normalised
from jobs.models.fitted_heads import make_room
from jobs.models.heads import build_head
from jobs.strategies.features import as_layer


def clouds(n: int, classes: int, d: int = 20, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    labels = (np.arange(n) % classes).astype(np.int64)
    centres = chance.normal(size=(classes, d))
    x = (centres[labels] + 1.3 * chance.normal(size=(n, d))) * chance.uniform(0.5, 9, (n, 1))
    return x.astype(np.float32), labels


@pytest.mark.parametrize("n", [4, 60])
def test_class_means_are_scikit_learns_nearest_centroids(n: int) -> None:
    """Of normalised features; the nearest centroid of normalised centroids is that of the largest cosine."""
    (x, y), (test, _) = clouds(n, 4), clouds(200, 4, seed=1)
    fitted = fit_head({"prototypes": {"scale": 10.0}}, x, y, 4, seed=0)
    assert isinstance(fitted, ClassMeans)
    theirs = NearestCentroid().fit(normalize(x), y)
    np.testing.assert_allclose(normalize(theirs.centroids_), fitted.means, atol=1e-6)
    theirs.centroids_ = normalize(theirs.centroids_)
    assert np.array_equal(theirs.predict(normalize(test)), fitted.logits(test).argmax(axis=1))


@pytest.mark.parametrize("k", [1, 3, 8])
def test_neighbours_are_scikit_learns(k: int) -> None:
    """The same shares of votes; where one class has most, the same class."""
    (x, y), (test, _) = clouds(60, 4), clouds(200, 4, seed=1)
    fitted = fit_head({"knn": {"k": k}}, x, y, 4, seed=0)
    votes, theirs = fitted.votes(test), KNeighborsClassifier(k, metric="cosine").fit(x, y)
    shares = theirs.predict_proba(test)
    np.testing.assert_allclose(votes / k, shares, atol=0.011)
    alone = np.sort(shares, axis=1)[:, -1] > np.sort(shares, axis=1)[:, -2] + 1e-9
    assert alone.any()
    assert np.array_equal(fitted.logits(test).argmax(axis=1)[alone], theirs.predict(test)[alone])


def test_equal_votes_go_to_the_nearer() -> None:
    """Not to the first class, which would win a third of all threes."""
    x = np.array([[1.0, 0.4], [1.0, 0.1], [0.1, 1.0]], np.float32)
    fitted = fit(x, np.array([0, 1, 2]), 3, ks=[3], folds=5, seed=0)
    assert fitted.logits(np.array([[1.0, 0.0]], np.float32)).argmax() == 1


def test_k_is_chosen_on_held_out_images_and_units_stay_together() -> None:
    chance = np.random.default_rng(0)
    x, y = clouds(40, 2, d=4)
    noisy = np.where(chance.random(40) < 0.25, 1 - y, y)
    fitted = fit(x, noisy, 2, ks=[1, 15], folds=5, seed=0)
    assert (fitted.k, [row["k"] for row in fitted.cv]) == (15, [1, 15])
    twice = np.repeat(x, 2, axis=0), np.repeat(noisy, 2)
    alone = fit(*twice, 2, ks=[1, 15], folds=5, seed=0)
    together = fit(*twice, 2, ks=[1, 15], folds=5, seed=0, groups=[str(i // 2) for i in range(80)])
    assert alone.cv[0]["accuracy"] > 0.85  # its own copy is the nearest
    assert together.cv[0]["accuracy"] < 0.85


def test_one_label_a_class() -> None:
    x, y = clouds(4, 4)
    fitted = fit_head({"knn": {}}, x, y, 4, seed=0)
    assert fitted.chosen == {"k": DEFAULT_K, "cv": []}
    assert "too few labels" in fitted.sentence
    assert np.array_equal(fitted.logits(x).argmax(axis=1), y)
    assert fit_head({"knn": {"k": 7}}, x, y, 4, seed=0).chosen["k"] == 4  # no more than there are


@pytest.mark.parametrize("head", [{"prototypes": {"scale": 5.0}}, {"knn": {"k": 3}}, {"logistic": {"c": [1.0]}}])
def testas_layers_they_say_the_same(head: dict[str, dict[str, object]]) -> None:
    """In float32, also when loaded from their file into a head that was built from the card."""
    (x, y), (test, _) = clouds(50, 4), clouds(100, 4, seed=1)
    fitted = fit_head(head, x, y, 4, seed=0)
    layer = as_layer(fitted, build_head(20, 4, head, seed=0, init="glorot"))
    again = build_head(20, 4, head, seed=1, init="torch")
    make_room(again, layer.state_dict())
    again.load_state_dict(layer.state_dict())
    with torch.no_grad():
        logits = again(torch.from_numpy(test))
    np.testing.assert_allclose(logits.numpy(), fitted.logits(test), atol=2e-3)


def test_features_without_length_have_no_direction() -> None:
    assert np.array_equal(normalised(np.array([[0.0, 0.0], [3.0, 4.0]])), [[0.0, 0.0], [0.6, 0.8]])
