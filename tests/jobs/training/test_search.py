"""Choosing a learning rate from trials."""

from __future__ import annotations

import pytest

from jobs.training.search import Search, Trial, trial_epochs, trial_train
from jobs.training.trainer import DivergedError
from tlbatch.spec.train import EarlyStopping, Train


def one_round(*candidates: float) -> Search:
    return Search(candidates, epochs=2)


def test_highest_accuracy_then_lowest_loss_then_smaller_rate() -> None:
    search = one_round(1e-4, 1e-3, 1e-2)
    assert search.choose([Trial(1e-4, 0.8, 0.5), Trial(1e-3, 0.9, 0.6), Trial(1e-2, None, None)]) == 1e-3
    assert one_round(1e-4, 1e-3).choose([Trial(1e-4, 0.9, 0.5), Trial(1e-3, 0.9, 0.4)]) == 1e-3
    assert one_round(1e-3, 1e-4).choose([Trial(1e-3, 0.9, 0.4), Trial(1e-4, 0.9, 0.4)]) == 1e-4


def test_all_diverged_is_a_sentence() -> None:
    with pytest.raises(DivergedError, match=r"diverged at every candidate \(0.1, 1\)"):
        one_round(0.1, 1.0).choose([Trial(0.1, None, None), Trial(1.0, None, None)])


@pytest.mark.parametrize(
    ("epochs", "warm_up", "steps", "fresh", "expected"),
    [
        (5, 0, 100, False, 1),
        (20, 0, 100, False, 2),
        (200, 0, 100, False, 5),
        (20, 2, 100, False, 4),
        (3, 3, 100, False, 3),
        (20, 0, 3, False, 17),  # 50 batches at least
        (100, 0, 100, True, 5),
        (100, 0, 20, True, 15),  # 300 of random weights
        (10, 0, 20, True, 10),
    ],
)
def test_trials_are_short_but_tell_something(epochs: int, warm_up: int, steps: int, fresh: bool, expected: int) -> None:
    train = Train(epochs=epochs, early_stopping=EarlyStopping())
    assert trial_epochs(train, warm_up, steps, fresh) == expected
    assert (trial_train(train, expected).epochs, trial_train(train, expected).early_stopping) == (expected, None)


def walked(search: Search, shown: dict[tuple[float, int], float | None]) -> list[Trial]:
    """All trials of a search of which ``shown`` gives rate and epochs their accuracy."""
    trials: list[Trial] = []
    while (after := search.next(trials)) is not None:
        accuracy = shown[after]
        trials.append(Trial(after[0], accuracy, None if accuracy is None else 1 - accuracy, after[1]))
    return trials


def test_from_random_weights_the_best_three_try_again_and_longer() -> None:
    search = Search.of((1e-5, 1e-4, 1e-3, 1e-2, 1e-1), Train(epochs=100), warm_up=0, steps=100, fresh=True)
    first: dict[tuple[float, int], float | None] = {
        (1e-5, 5): 0.2,
        (1e-4, 5): 0.3,
        (1e-3, 5): 0.4,
        (1e-2, 5): 0.5,
        (1e-1, 5): None,
    }
    trials = walked(search, {**first, (1e-2, 15): 0.5, (1e-3, 15): 0.6, (1e-4, 15): 0.7})
    assert [(trial.lr, trial.epochs) for trial in trials[5:]] == [(1e-2, 15), (1e-3, 15), (1e-4, 15)]
    assert search.choose(trials) == 1e-4
    assert len(trials) == search.trials
    assert [search.done_epochs(n) for n in (0, 1, 5, 6, 8)] == [0, 5, 25, 40, 70]
    assert search.total_epochs == 70
    assert search.choose(walked(search, {**first, (1e-2, 15): None, (1e-3, 15): 0.2, (1e-4, 15): None})) == 1e-3
    assert search.choose(walked(search, {**first, (1e-2, 15): None, (1e-3, 15): None, (1e-4, 15): None})) == 1e-5


def test_pretrained_weights_and_short_trainings_have_one_round() -> None:
    for search in (
        Search.of((1e-4, 1e-3, 1e-2), Train(epochs=100), warm_up=0, steps=100, fresh=False),
        Search.of((1e-4, 1e-3, 1e-2), Train(epochs=2), warm_up=0, steps=10, fresh=True),  # no trial can be longer
    ):
        trials = walked(search, {(lr, search.epochs): 0.5 for lr in search.candidates})
        assert len(trials) == 3


def test_trials_survive_json() -> None:
    for trial in (Trial(1e-3, 0.5, 0.25, 3), Trial(1.0, None, None, 1)):
        assert Trial.from_json(trial.to_json()) == trial
