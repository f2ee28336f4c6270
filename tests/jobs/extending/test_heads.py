"""A class more for a head: what a fit on all images gives where there is one, and an imprinted row that costs what it may."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from jobs.evaluation.extended import held_out_recall
from jobs.extending.heads import ExtendableHead
from jobs.heads.adding import TAKEN
from jobs.heads.fitting import fit_head
from jobs.models.heads import build_head
from jobs.statistics.shares import held_out_share
from jobs.strategies.features import as_layer
from tests.jobs.training.test_few_labels import clouds


def fitted(settings: dict[str, Any], x: np.ndarray, y: np.ndarray, classes: int) -> ExtendableHead:
    layer = as_layer(fit_head(settings, x, y, classes, seed=0), build_head(x.shape[1], classes, settings, seed=0, init="torch"))
    return ExtendableHead(settings, layer.state_dict(), x.shape[1], classes)


@pytest.mark.parametrize("settings", [{"prototypes": {"scale": 10.0}}, {"knn": {"k": 3}}])
@pytest.mark.parametrize("k", [1, 7])
def test_means_and_neighbours_are_those_of_a_fit_on_all_images(settings: dict[str, Any], k: int) -> None:
    """What breaks it: a mean that is not normalised, votes of the new items for another class."""
    (x, y), (test, _) = clouds(60, 4), clouds(50, 4, seed=1)
    new = np.flatnonzero(y == 3)[:k]
    old = np.flatnonzero(y < 3)
    extended = fitted(settings, x[old], y[old], 3).with_class(x[new], x[old])
    whole = fitted(settings, np.concatenate([x[old], x[new]]), np.concatenate([y[old], y[new]]), 4)
    assert extended.state.keys() == whole.state.keys()
    for name, tensor in whole.state.items():
        torch.testing.assert_close(extended.state[name], tensor, rtol=0, atol=1e-7)
    np.testing.assert_allclose(extended.logits(test), whole.logits(test), atol=1e-5)
    assert extended.classes == 4


@pytest.mark.parametrize("settings", [{"logistic": {"c": [0.1]}}, {"dense": [16], "dropout": 0.2}, {}])
def test_an_imprinted_row_is_as_long_as_the_others_and_takes_its_share(settings: dict[str, Any]) -> None:
    """The others' logits stay. What breaks it: an intercept by the mean margin, a row of the raw mean feature."""
    (x, y) = clouds(400, 4)
    x = x / np.linalg.norm(x, axis=1, keepdims=True) + np.float32(3)  # as features after a ReLU: no direction by themselves
    old, new = np.flatnonzero(y < 3), np.flatnonzero(y == 3)
    if "logistic" in settings:
        head = fitted(settings, x[old], y[old], 3)
    else:
        head = ExtendableHead(settings, build_head(20, 3, settings, seed=0, init="torch").state_dict(), 20, 3)
    extended = head.with_class(x[new[:5]], x[old])
    np.testing.assert_allclose(extended.logits(x)[:, :3], head.logits(x), atol=1e-4)
    taken = (extended.logits(x[old]).argmax(axis=1) == 3).sum()
    assert abs(taken - int(TAKEN * len(old))) <= 1
    if "logistic" in settings:
        assert (extended.logits(x[new[5:]]).argmax(axis=1) == 3).mean() > 0.8
        scale = x[old].std(axis=0)
        lengths = np.linalg.norm(extended.state["classifier.weight"].numpy() * scale, axis=1)
        assert lengths[3] == pytest.approx(lengths[:3].mean(), rel=1e-4)


def test_each_unit_is_judged_by_the_others_alone() -> None:
    """Two copies are one unit: the other does not vouch for one. What breaks it: leaving out one image at a time."""
    x, y = clouds(60, 4)
    old, new = np.flatnonzero(y < 3), np.flatnonzero(y == 3)[:4]
    head, features = fitted({"knn": {"k": 1}}, x[old], y[old], 3), x[new]
    features[1] = features[0]
    units = ["a", "a", "b", "c"]
    said = head.left_out(features, x[old], units)
    assert said is not None
    np.testing.assert_allclose(said[:2], head.with_class(features[2:], x[old]).logits(features[:2]))
    assert head.left_out(features[:2], x[old], units[:2]) is None
    both = {"units": units, "logits": said.tolist()}
    recall = held_out_recall([both, both])
    assert recall is not None
    assert recall.k == int((said.argmax(axis=1) == 3).sum())
    assert held_out_recall([both, {"units": units, "logits": None}]) is None


def covered(units: int, spread: float, chance: np.random.Generator) -> bool:
    """Whether the interval of held-out answers has the share of all of the class that its units together would teach."""
    unit = lambda rows: rows / np.linalg.norm(rows, axis=-1, keepdims=True)  # noqa: E731
    centres = unit(chance.normal(size=(10, 20))) * np.sqrt(20)
    others = unit(centres[:9])
    own, more = (unit(centres[9] + spread * chance.normal(size=(n, 20))) for n in (units, 1500))
    left = unit(own.sum(axis=0) - own)
    right = (own * left).sum(axis=1) > (own @ others.T).max(axis=1)
    truth = (more @ unit(own.sum(axis=0)) > (more @ others.T).max(axis=1)).mean()
    found = held_out_share(right, np.arange(units))
    assert found.low is not None
    assert found.high is not None
    return bool(found.low <= truth <= found.high)


@pytest.mark.parametrize(("units", "spread"), [(3, 1.5), (5, 2.5), (10, 1.5), (20, 2.5)])
def test_the_interval_of_held_out_answers_covers(units: int, spread: float) -> None:
    """At least .93 of the time at nominal .95. What breaks it: the normal quantile, which covers .90 of three units."""
    chance = np.random.default_rng(0)
    assert np.mean([covered(units, spread, chance) for _ in range(400)]) >= 0.93
