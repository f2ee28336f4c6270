"""Choosing a learning rate from trials."""

from __future__ import annotations

import pytest

from jobs.training.search import Trial, choose, trial_epochs, trial_train
from jobs.training.trainer import DivergedError
from tlbatch.spec.train import EarlyStopping, Train


def test_highest_accuracy_then_lowest_loss_then_smaller_rate() -> None:
    assert choose([Trial(1e-4, 0.8, 0.5), Trial(1e-3, 0.9, 0.6), Trial(1e-2, None, None)]) == 1e-3
    assert choose([Trial(1e-4, 0.9, 0.5), Trial(1e-3, 0.9, 0.4)]) == 1e-3
    assert choose([Trial(1e-3, 0.9, 0.4), Trial(1e-4, 0.9, 0.4)]) == 1e-4


def test_all_diverged_is_a_sentence() -> None:
    with pytest.raises(DivergedError, match=r"diverged at every candidate \(0.1, 1\)"):
        choose([Trial(0.1, None, None), Trial(1.0, None, None)])


@pytest.mark.parametrize(("epochs", "warm_up", "expected"), [(5, 0, 1), (20, 0, 2), (200, 0, 5), (20, 2, 4), (3, 3, 3)])
def test_trials_are_short_but_reach_past_the_warm_up(epochs: int, warm_up: int, expected: int) -> None:
    train = Train(epochs=epochs, early_stopping=EarlyStopping())
    assert trial_epochs(train, warm_up) == expected
    short = trial_train(train, warm_up)
    assert (short.epochs, short.early_stopping, short.select) == (expected, None, "last")


def test_trials_survive_json() -> None:
    for trial in (Trial(1e-3, 0.5, 0.25), Trial(1.0, None, None)):
        assert Trial.from_json(trial.to_json()) == trial
