"""The losses against numpy and autograd: nothing here goes by our own formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from jobs.adaptation.losses import coral_loss, domain_loss, reversal_strength, reverse_gradient


def features(n: int, d: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    chance = torch.Generator().manual_seed(seed)
    spread = torch.randn((d, d), generator=chance)
    return (torch.randn((n, d), generator=chance) @ spread + shift).requires_grad_()


@pytest.mark.parametrize(("n", "m", "d"), [(40, 30, 6), (8, 9, 50), (2, 5, 3)])
def test_coral_is_the_distance_of_numpys_covariances(n: int, m: int, d: int) -> None:
    """Equation 1 of the paper, with fewer and with more images than features; and it is blind to a shift of the mean."""
    source, target = features(n, d, 1), features(m, d, 2, shift=3.0)
    covariances = [np.cov(each.detach().double().numpy(), rowvar=False) for each in (source, target)]
    expected = np.linalg.norm(covariances[0] - covariances[1], "fro") ** 2 / (4 * d**2)
    assert coral_loss(source, target).item() == pytest.approx(expected, rel=1e-6)
    assert coral_loss(source, source + 5).item() == pytest.approx(0, abs=1e-6)


def test_its_gradient_is_that_of_the_plain_formula() -> None:
    source, target = features(12, 5, 1), features(9, 5, 2)
    ours = torch.autograd.grad(coral_loss(source, target), [source, target])
    apart = torch.cov(source.T) - torch.cov(target.T)
    theirs = torch.autograd.grad(apart.square().sum() / (4 * 5**2), [source, target])
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-6)


def test_an_image_alone_has_no_covariance() -> None:
    """And no gradient that is no number."""
    source, target = features(1, 4, 1), features(6, 4, 2)
    loss = coral_loss(source, target)
    assert loss.item() == pytest.approx((torch.cov(target.T).square().sum() / 64).item(), rel=1e-5)
    assert all(bool(each.isfinite().all()) for each in torch.autograd.grad(loss, [source, target]))


def test_a_reversed_gradient_is_that_of_the_negated_loss_for_who_is_below_alone() -> None:
    """The network's gradient is of -0.3 · loss, the domain classifier's of the loss itself: by autograd, without the layer."""
    x = torch.randn((7, 4), generator=torch.Generator().manual_seed(0))
    below, above = torch.nn.Linear(4, 3), torch.nn.Linear(3, 1)

    def loss(strength: float | None) -> torch.Tensor:
        found = below(x)
        found = above(found if strength is None else reverse_gradient(found, strength))
        return domain_loss([found[:2], found[2:4]], found[4:])

    assert torch.equal(loss(None), loss(0.3))
    parameters = [*below.parameters(), *above.parameters()]
    reversed_, plain = (torch.autograd.grad(loss(strength), parameters) for strength in (0.3, None))
    negated = torch.autograd.grad(-0.3 * loss(None), list(below.parameters()))
    for a, b in zip(reversed_[:2], negated, strict=True):
        assert torch.allclose(a, b, atol=1e-7)
    for a, b in zip(reversed_[2:], plain[2:], strict=True):
        assert torch.equal(a, b)


def test_the_schedule_is_the_papers() -> None:
    assert reversal_strength(0.0) == 0.0
    assert reversal_strength(1.0) == pytest.approx(2 / (1 + math.exp(-10)) - 1) == pytest.approx(0.99990920)
    assert [round(reversal_strength(p / 10), 4) for p in (1, 2, 5)] == [0.4621, 0.7616, 0.9866]  # tanh(5 p)
    assert reversal_strength(0.37) == pytest.approx(math.tanh(5 * 0.37))


def test_domains_weigh_the_same_however_many_images_each_has() -> None:
    """By torch's own binary cross-entropy: the mean over the domains of the mean over their images."""
    logits = torch.randn((12, 1), generator=torch.Generator().manual_seed(3))
    ours = domain_loss([logits[:2], logits[2:3]], logits[3:])
    entropy = functional.binary_cross_entropy_with_logits
    theirs = (entropy(logits[:3], torch.zeros(3, 1)) + entropy(logits[3:], torch.ones(9, 1))) / 2
    assert float(ours) == pytest.approx(float(theirs), rel=1e-6)
