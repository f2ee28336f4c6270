"""What the curves' sentence says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jobs.reporting.curves import curves_of, overfitting_start


def history(validation_loss: list[float], train_accuracy: float = 0.9, validation_accuracy: float = 0.88) -> dict[str, Any]:
    epochs = [
        {
            "epoch": i + 1,
            "train_loss": 1 / (i + 1),
            "validation_loss": loss,
            "train_accuracy": train_accuracy,
            "validation_accuracy": validation_accuracy,
        }
        for i, loss in enumerate(validation_loss)
    ]
    return {"epochs": epochs, "selected_epoch": len(epochs)}


def test_overfitting_starts_after_the_lowest_validation_loss() -> None:
    found = curves_of([history([1.0, 0.6, 0.5, 0.55, 0.7, 0.9], 0.99, 0.8)])
    assert found is not None
    assert found.overfits_from == 4
    assert found.gap == pytest.approx(0.19)
    assert found.sentence.startswith("Overfits from epoch 4: validation loss rose from 0.500 to 0.717")
    assert "19.0 points above" in found.sentence


def test_a_loss_that_wavers_is_no_overfitting() -> None:
    found = curves_of([history([1.0, 0.6, 0.5, 0.51, 0.5, 0.515])])
    assert found is not None
    assert found.overfits_from is None
    assert found.sentence.startswith("No overfitting seen")


def test_a_loss_that_rises_with_the_training_loss_is_no_overfitting() -> None:
    assert overfitting_start(np.array([0.5, 0.4, 0.6, 0.8]), np.array([0.6, 0.5, 0.7, 0.9])) is None


def test_a_gap_without_rising_loss_is_named() -> None:
    found = curves_of([history([1.0, 0.8, 0.7, 0.7], 1.0, 0.8)])
    assert found is not None
    assert "20.0 points above" in found.sentence
    assert "No overfitting" not in found.sentence


def test_loss_still_falling_asks_for_more_epochs() -> None:
    found = curves_of([history([1.0, 0.8, 0.6, 0.5, 0.4])])
    assert found is not None
    assert "more epochs may help" in found.sentence


def test_several_trainings_are_averaged_over_the_epochs_all_reached() -> None:
    found = curves_of([history([1.0, 0.5, 0.4]), history([2.0, 0.7, 0.6, 0.5])])
    assert found is not None
    assert found.epochs == 3
    assert found.mean("validation_loss") == pytest.approx([1.5, 0.6, 0.5])


def test_no_epochs_no_curves() -> None:
    assert curves_of([{"epochs": []}]) is None
