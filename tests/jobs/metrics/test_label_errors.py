"""Suspected wrong labels: found by models that have not seen the image, in an order that puts the surest first."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.heads.cores import threads
from jobs.metrics import label_errors
from jobs.metrics.label_errors import folds_of, narrowed, odds_of, out_of_fold, rank


def _flipped(n: int, classes: int, flips: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, set[int]]:
    """Features [n, 60] in overlapping clouds, labels of which ``flips`` are wrong, and the places of those."""
    chance = np.random.default_rng(seed)
    truth = np.arange(n) % classes
    features = (chance.normal(size=(classes, 60))[truth] + 1.4 * chance.normal(size=(n, 60))).astype(np.float32)
    places = chance.choice(n, flips, replace=False)
    labels = truth.copy()
    labels[places] = (labels[places] + chance.integers(1, classes, flips)) % classes
    return features, labels.astype(np.int64), set(places.tolist())


@pytest.mark.parametrize("classes", [2, 5])
def test_flipped_labels_come_first(classes: int) -> None:
    features, labels, flipped = _flipped(400, classes, 20)
    p = out_of_fold(features, labels, classes, np.arange(400))
    first = {suspect.place for suspect in rank(p, labels)[:30]}
    assert len(first & flipped) >= 18


def test_no_image_is_judged_by_a_model_that_saw_its_copy() -> None:
    """Pairs of copies, all mislabelled alike, at places of their own: a model that saw the twin would believe the label."""
    features, labels, _ = _flipped(300, 2, 0)
    odd = np.random.default_rng(1).normal(size=(50, 60)).astype(np.float32) * 8
    features[:50], features[50:100] = odd, odd
    labels[:50] = labels[50:100] = np.random.default_rng(2).integers(2, size=50)
    together = np.concatenate([np.arange(50), np.arange(50), np.arange(50, 250)])
    own = np.arange(300)
    right = [(out_of_fold(features, labels, 2, groups, cs=[10.0]).log < 0)[:100].mean() for groups in (together, own)]
    assert right[1] > 0.8
    assert right[0] < 0.65


def test_folds_hold_each_class_evenly_and_units_together() -> None:
    labels = np.array([0] * 50 + [1] * 25)
    folds = folds_of(labels, np.arange(75))
    assert np.bincount(folds[:50]).tolist() == [10] * 5
    assert np.bincount(folds[50:]).tolist() == [5] * 5
    pairs = folds_of(labels[:50], np.arange(50) // 2)
    assert (pairs[::2] == pairs[1::2]).all()
    assert not np.array_equal(folds[:50], np.arange(50) % 5)


def test_wide_features_are_projected_and_still_tell() -> None:
    features, labels, flipped = _flipped(300, 2, 15)
    wide = np.concatenate([np.repeat(features, 60, axis=1), np.zeros((300, 500), dtype=np.float32)], axis=1)
    assert narrowed(wide).shape == (300, 1024)
    assert narrowed(features) is features
    first = {suspect.place for suspect in rank(out_of_fold(wide, labels, 2, np.arange(300)), labels)[:22]}
    assert len(first & flipped) >= 13


def test_features_are_projected_by_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """As folds are fitted by one each: so the suspects are the same to the last bit on any number of cores."""
    seen = []
    monkeypatch.setattr(label_errors, "narrowed", lambda features: seen.append(threads()) or features)
    features, labels, _ = _flipped(60, 2, 3)
    out_of_fold(features, labels, 2, np.arange(60))
    assert seen == [1]


def test_order_and_margin() -> None:
    p = np.array([[0.6, 0.3, 0.1], [0.001, 0.9, 0.099], [0.2, 0.3, 0.5], [0.9, 0.05, 0.05]])
    found = rank(odds_of(p, labels := np.array([1, 0, 0, 0])), labels)
    assert [(s.place, s.label, s.other) for s in found] == [(1, 0, 1), (2, 0, 2), (0, 1, 0)]
    assert [s.margin for s in found] == pytest.approx([0.899, 0.3, 0.3])


def test_saturated_probabilities_are_no_trouble_and_the_list_is_short() -> None:
    p = np.tile([[0.0, 1.0]], (500, 1))
    zeros, ones = np.zeros(500, dtype=np.int64), np.ones(500, dtype=np.int64)
    found = rank(odds_of(p, zeros), zeros)
    assert len(found) == label_errors.KEPT
    assert [s.place for s in found[:3]] == [0, 1, 2]
    assert rank(odds_of(p, ones), ones) == []


def test_one_class_alone_has_no_suspects() -> None:
    p = out_of_fold(np.ones((12, 3), dtype=np.float32), np.zeros(12, dtype=np.int64), 2, np.arange(12))
    assert p.p_label.tolist() == p.p_other.tolist() == [0.5] * 12
    assert p.other.tolist() == [1] * 12
    assert rank(p, np.zeros(12, dtype=np.int64)) == []


def test_same_again() -> None:
    features, labels, _ = _flipped(100, 3, 5)
    first, second = (out_of_fold(features, labels, 3, np.arange(100)) for _ in range(2))
    np.testing.assert_array_equal(first.log, second.log)


def test_odds_are_those_of_all_probabilities_however_many_are_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And every image is judged once for each C. Fails when a block is judged by the labels of another."""
    features, labels, _ = _flipped(100, 3, 5)
    whole = np.full((3, 100, 3), np.nan)
    found = []
    for block in (4096, 7):
        monkeypatch.setattr(label_errors, "BLOCK", block)

        def also(place: int, held: np.ndarray, probabilities: np.ndarray) -> None:
            whole[place, held] = probabilities

        found.append(out_of_fold(features, labels, 3, np.arange(100), also=also))
    own = whole[:, np.arange(100), labels]
    best = whole[int((-np.log(own)).mean(axis=1).argmin())]
    for odds in (*found, odds_of(best, labels)):
        np.testing.assert_array_equal(odds.p_label, best[np.arange(100), labels])
        np.testing.assert_array_equal(odds.other, np.where(np.eye(3)[labels] > 0, -1, best).argmax(axis=1))
        np.testing.assert_array_equal(odds.p_other, best[np.arange(100), odds.other])


def test_a_race_judges_every_image_by_the_c_of_all_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is clearly worse on one fold is not tried on others. Fails when the race ends with one C before all are judged."""
    features, labels, flipped = _flipped(500, 5, 25)
    told: list[tuple[int, int]] = []
    found = []
    for small in (10**12, 0):
        monkeypatch.setattr("jobs.heads.held_out.SMALL", small)
        told.clear()
        found.append(
            out_of_fold(
                features,
                labels,
                5,
                np.arange(500),
                cs=(1e-7, 1e-2),
                also=lambda place, held, p: told.append((place, len(held))),
            )
        )
    assert len([place for place, _ in told if place == 1]) == 6, "and the first fold's once more, nearer"
    assert len([place for place, _ in told if place == 0]) == 1
    np.testing.assert_allclose(found[1].p_label, found[0].p_label, atol=0.02)
    assert len({suspect.place for suspect in rank(found[1], labels)[:30]} & flipped) >= 20


def test_a_search_that_stops_early_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from jobs.heads import held_out

    features, labels, _ = _flipped(100, 3, 5)
    assert out_of_fold(features, labels, 3, np.arange(100)).stopped_early == ""
    real = held_out.minimise
    monkeypatch.setattr(held_out, "minimise", lambda *args, **kwargs: real(*args, **kwargs, most=0))
    for small in (10**12, 0):
        monkeypatch.setattr("jobs.heads.held_out.SMALL", small)
        assert "of its loss above the minimum" in out_of_fold(features, labels, 3, np.arange(100)).stopped_early
