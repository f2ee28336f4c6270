"""Losses by hand, class weights, mixing."""

from __future__ import annotations

import math

import pytest
import torch

from jobs.randomness import generator
from jobs.training.objective import CrossEntropy, build_cross_entropy, mix
from tlbatch.spec.train import Train


def test_plain_loss_is_cross_entropy() -> None:
    objective, logits, labels = CrossEntropy(3, None, 0.0), torch.randn(5, 3), torch.tensor([0, 2, 1, 1, 0])
    expected = torch.nn.functional.cross_entropy(logits, labels)
    assert float(objective.loss(logits, objective.targets(labels))) == pytest.approx(float(expected), abs=1e-6)


def test_smoothing_is_that_of_torch() -> None:
    objective, logits, labels = CrossEntropy(3, None, 0.2), torch.randn(4, 3), torch.tensor([0, 2, 1, 1])
    expected = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.2)
    assert float(objective.loss(logits, objective.targets(labels))) == pytest.approx(float(expected), abs=1e-6)


def test_balanced_weights_make_every_class_weigh_the_same() -> None:
    labels = torch.tensor([0] * 8 + [1] * 2)
    objective = build_cross_entropy(Train(class_weights="balanced"), ["a", "b"], labels)
    assert objective.class_weights is not None
    assert objective.class_weights.tolist() == [10 / 16, 10 / 4]
    named = build_cross_entropy(Train(class_weights={"b": 3.0}), ["a", "b"], labels)
    assert named.class_weights is not None
    assert named.class_weights.tolist() == [1.0, 3.0]
    even = torch.zeros(10, 2)
    assert float(objective.loss(even, objective.targets(labels))) == pytest.approx(math.log(2))  # the mean weight is 1


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.4, 0.0), (0.0, 1.0), (0.4, 1.0)])
def test_mixed_images_have_mixed_targets(mixup: float, cutmix: float) -> None:
    x = torch.arange(6.0).view(6, 1, 1, 1).expand(6, 1, 8, 8)  # image i is all i, and of class i
    targets = torch.eye(6)
    for step in range(20):
        mixed, soft = mix(x, targets, Train(mixup=mixup, cutmix=cutmix), generator(0, "mix", step))
        mean = mixed.mean(dim=(1, 2, 3))
        assert torch.allclose(mean, soft @ torch.arange(6.0), atol=1e-5)
        assert torch.allclose(soft.sum(dim=1), torch.ones(6))
        if mixup == 0:
            assert set(mixed.unique().tolist()) <= set(range(6))


def test_nothing_is_mixed_when_off_or_where_it_cannot_be() -> None:
    x, targets = torch.randn(4, 7), torch.eye(4)
    assert mix(x, targets, Train(), generator(0))[0] is x
    assert mix(x, targets, Train(cutmix=1.0), generator(0))[0] is x  # features have no place to cut
    assert mix(x[:1], targets[:1], Train(mixup=1.0), generator(0))[0].shape == (1, 7)
