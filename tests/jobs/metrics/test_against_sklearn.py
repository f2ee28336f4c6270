"""Every metric has scikit-learn's value, also with ties, weights, and two classes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn import metrics as sk

from jobs.metrics.classification import confusion
from jobs.metrics.per_class import class_report
from jobs.metrics.ranking import curves
from jobs.metrics.registry import metrics
from jobs.statistics.predictions import Predictions, Weighted

Draw = Callable[..., Predictions]


def _expected(p: Predictions, weights: np.ndarray) -> dict[str, float]:
    found: dict[str, float] = {"accuracy": sk.accuracy_score(p.labels, p.predicted, sample_weight=weights)}
    found["balanced_accuracy"] = sk.balanced_accuracy_score(p.labels, p.predicted, sample_weight=weights)
    for average in ("macro", "weighted"):
        scores = sk.precision_recall_fscore_support(
            p.labels, p.predicted, average=average, zero_division=0, sample_weight=weights
        )
        found |= {f"{average}_{name}": value for name, value in zip(("precision", "recall", "f1"), scores[:3], strict=True)}
    found["log_loss"] = sk.log_loss(p.labels, p.probabilities, sample_weight=weights)
    if p.n_classes == 2:
        positive = p.probabilities[:, 1]
        found["brier"] = sk.brier_score_loss(p.labels, positive, sample_weight=weights)
        found["roc_auc"] = sk.roc_auc_score(p.labels, positive, sample_weight=weights)
        found["average_precision"] = sk.average_precision_score(p.labels, positive, sample_weight=weights)
        return found
    one_hot = np.eye(p.n_classes)[p.labels]
    found["brier"] = np.average(((p.probabilities - one_hot) ** 2).sum(axis=1), weights=weights)
    found["roc_auc"] = sk.roc_auc_score(one_hot, p.probabilities, average="macro", sample_weight=weights)
    found["average_precision"] = sk.average_precision_score(one_hot, p.probabilities, average="macro", sample_weight=weights)
    return found


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("decimals", [None, 1])
def test_values(draw: Draw, classes: int, decimals: int | None) -> None:
    p = draw(classes=classes, decimals=decimals)
    if decimals is not None:  # scikit-learn normalises rows that do not sum to 1 for its log loss
        p = Predictions(p.labels, p.probabilities / p.probabilities.sum(axis=1, keepdims=True), p.groups)
    weights = np.stack([np.ones(p.n), np.random.default_rng(1).integers(4, size=p.n).astype(float)])
    found = {name: metric.function(Weighted(p, weights.T)) for name, metric in metrics().items()}
    for row, own in enumerate(weights):
        for name, value in _expected(p, own).items():
            assert found[name][row] == pytest.approx(value, abs=1e-12), name


def test_order_of_the_table() -> None:
    assert list(metrics())[:3] == ["accuracy", "balanced_accuracy", "macro_precision"]
    assert list(metrics())[-1] == "ece"
    assert [name for name, metric in metrics().items() if metric.better == "lower"] == ["log_loss", "brier", "ece"]


def test_confusion_has_the_truth_in_rows(draw: Draw) -> None:
    p = draw()
    np.testing.assert_array_equal(confusion(p), sk.confusion_matrix(p.labels, p.predicted))


def test_class_report(draw: Draw) -> None:
    p = draw(margin=0.3)
    expected = sk.classification_report(p.labels, p.predicted, output_dict=True)
    for number, row in enumerate(class_report(p, ["a", "b", "c", "d"])):
        for ours, theirs in (("recall", "recall"), ("precision", "precision")):
            assert row[ours]["value"] == pytest.approx(expected[str(number)][theirs])
        assert row["f1"] == pytest.approx(expected[str(number)]["f1-score"])
        assert row["n"] == expected[str(number)]["support"]
        one = p.labels == number
        assert row["roc_auc"] == pytest.approx(sk.roc_auc_score(one, p.probabilities[:, number]))
        assert row["average_precision"] == pytest.approx(sk.average_precision_score(one, p.probabilities[:, number]))


@pytest.mark.parametrize("decimals", [None, 2])
def test_curves_enclose_the_area(draw: Draw, decimals: int | None) -> None:
    p = draw(classes=2, n=150, decimals=decimals)
    (roc,), (pr,) = curves(p, ["a", "b"])
    assert roc["class"] == pr["class"] == "b"
    assert (roc["fpr"][0], roc["tpr"][0], roc["fpr"][-1], roc["tpr"][-1]) == (0, 0, 1, 1)
    assert np.trapezoid(roc["tpr"], roc["fpr"]) == pytest.approx(roc["auc"], abs=1e-5)
    assert roc["auc"] == pytest.approx(sk.roc_auc_score(p.labels, p.probabilities[:, 1]))
    steps = np.diff(pr["recall"], prepend=0.0)
    assert (steps * pr["precision"]).sum() == pytest.approx(pr["average_precision"], abs=1e-4)


def test_long_curves_are_thinned(draw: Draw) -> None:
    p = draw(classes=2, n=5000, margin=0.5)
    (roc,), (pr,) = curves(p, ["a", "b"])
    assert max(len(roc["fpr"]), len(pr["recall"])) <= 200
    assert np.trapezoid(roc["tpr"], roc["fpr"]) == pytest.approx(roc["auc"], abs=0.005)


def test_many_classes_have_a_mean_curve_first(draw: Draw) -> None:
    p = draw(classes=3)
    roc, pr = curves(p, ["a", "b", "c"])
    assert [curve["class"] for curve in roc] == [None, "a", "b", "c"]
    assert [curve["class"] for curve in pr] == ["a", "b", "c"]
    assert roc[0]["auc"] == pytest.approx(np.mean([curve["auc"] for curve in roc[1:]]))
