"""Learning rates over a training; the epoch that is kept; when to stop."""

from __future__ import annotations

import pytest

from jobs.training.schedules import Plateau, lr_factor
from jobs.training.selection import BestEpoch, Patience
from tlbatch.spec.train import EarlyStopping


def test_warm_up_rises_to_the_whole_rate() -> None:
    assert [lr_factor("constant", step, 10, 4) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("schedule", "start", "middle", "end"),
    [
        ("constant", 1.0, 1.0, 1.0),
        ("cosine", 1.0, 0.5, 0.0),
        ("linear", 1.0, 0.5, 0.0),
        ("step", 1.0, 0.1, 0.01),
        ("inverse", 1.0, 6**-0.75, 11**-0.75),
    ],
)
def test_from_start_to_end(schedule: str, start: float, middle: float, end: float) -> None:
    assert lr_factor(schedule, 0, 1000, 0) == pytest.approx(start)
    assert lr_factor(schedule, 500, 1000, 0) == pytest.approx(middle)
    assert lr_factor(schedule, 1000, 1000, 0) == pytest.approx(end)


def test_a_plateau_lowers_the_rate_after_three_epochs() -> None:
    plateau = Plateau()
    factors = []
    for loss in (1.0, 0.9, 0.9, 0.95, 0.91, 0.8, 0.8, 0.8, 0.8):
        plateau.observe(loss)
        factors.append(plateau.factor)
    assert factors == [1.0] * 4 + [0.3] * 4 + [pytest.approx(0.09)]


def test_the_best_epoch_is_the_earliest_of_equals() -> None:
    best = BestEpoch()
    seen = [(0.5, 1.0), (0.7, 0.9), (0.7, 0.8), (0.7, 0.8), (0.6, 0.1)]
    assert [best.observe(epoch, *row) for epoch, row in enumerate(seen)] == [True, True, True, False, False]
    assert best.epoch == 2


def test_patience_counts_epochs_without_improvement() -> None:
    by_loss, by_accuracy = Patience(), Patience()
    losses = (1.0, 0.99, 0.5, 0.6, 0.7)
    assert [by_loss.observe(EarlyStopping(patience=2, min_delta=0.05), 0.0, x) for x in losses] == [False] * 4 + [True]
    rule = EarlyStopping(patience=2, metric="accuracy")
    assert [by_accuracy.observe(rule, x, 0.0) for x in (0.5, 0.6, 0.6, 0.7, 0.7, 0.7)] == [False] * 5 + [True]
