"""Optimisers as the recipes have them, and each stage's share of the rate."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import Parameter

from jobs.training.optimizers import build_optimizer, set_lr
from tlbatch.spec.train import Train


def _step(train: Train, gradients: list[float], lr: float, scale: float = 1.0) -> float:
    weight = Parameter(torch.tensor([1.0], dtype=torch.float64))
    optimizer = build_optimizer(train, [("empty", [], 1.0), ("all", [weight], scale)])
    for gradient in gradients:
        set_lr(optimizer, lr)
        weight.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
    return weight.item()


def test_rmsprop_is_that_of_keras() -> None:
    weight, average = 1.0, 0.0
    for gradient in (0.5, -0.2, 3.0):
        average = 0.9 * average + 0.1 * gradient**2
        weight -= 0.01 * gradient / (math.sqrt(average) + 1e-7)
    assert _step(Train(optimizer="rmsprop"), [0.5, -0.2, 3.0], 0.01) == pytest.approx(weight, abs=1e-12)


def test_first_steps_of_the_others() -> None:
    assert _step(Train(optimizer="sgd"), [0.5, 0.5], 0.1) == pytest.approx(1 - 0.05 - 0.1 * (0.45 + 0.5))
    assert _step(Train(optimizer="adam"), [0.5], 0.1) == pytest.approx(0.9, abs=1e-6)
    assert _step(Train(optimizer="adamw", weight_decay=0.1), [0.5], 0.1) == pytest.approx(0.99 - 0.1, abs=1e-6)


def test_a_stage_has_its_share_of_the_rate() -> None:
    assert _step(Train(optimizer="sgd", momentum=0.0), [1.0], 0.1, scale=0.5) == pytest.approx(0.95)
