"""What brings the features of two domains together while a network learns: the CORAL loss, and reversed gradients. Pure.

``source`` [n, d] and ``target`` [m, d] are features of a batch, through which gradients flow. No label goes in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def coral_loss(source: Tensor, target: Tensor) -> Tensor:
    """|C_s - C_t|² / (4 d²), C being the covariances [d, d] of each batch about its own mean: a scalar, float32.

    Sun and Saenko (2016), "Deep CORAL: correlation alignment for deep domain adaptation", equation 1. By the products of
    images rather than of features, |XᵀX|² = |XXᵀ|², so that wide features need no covariance of theirs in memory; in float64,
    since what is left of three such terms is small. An image alone has no covariance: zeros.
    """
    d = source.shape[1]
    s, t = (each.double() - each.double().mean(dim=0) for each in (source, target))
    n, m = max(1, len(s) - 1), max(1, len(t) - 1)
    apart = _size(s, s) / n**2 + _size(t, t) / m**2 - 2 * _size(s, t) / (n * m)
    return (apart.clamp(min=0) / (4 * d**2)).float()


def _size(x: Tensor, y: Tensor) -> Tensor:
    """<XᵀX, YᵀY> = |XYᵀ|² (Frobenius)."""
    return (x @ y.T).square().sum()


class _Reversed(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor, strength: float) -> Tensor:
        context.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -context.strength * gradients[0], None


def reverse_gradient(x: Tensor, strength: float) -> Tensor:
    """``x`` as it is; going back, the gradient times -``strength``.

    The gradient reversal layer of Ganin and Lempitsky (2015), "Unsupervised domain adaptation by backpropagation".
    """
    reversed_: Tensor = _Reversed.apply(x, strength)
    return reversed_


def reversal_strength(share: float) -> float:
    """2 / (1 + exp(-10 p)) - 1, from 0 to almost 1 as the ``share`` p of the training that is done grows.

    Ganin et al. (2016), "Domain-adversarial training of neural networks", section 5.2.2: at first the classifier of domains is
    noise, and features are spared it.
    """
    return 2 / (1 + math.exp(-10 * share)) - 1


def domain_loss(sources: Sequence[Tensor], target: Tensor) -> Tensor:
    """Mean cross-entropy (nats) of telling the domains apart, both weighing the same: a scalar, float32.

    Logits [n, 1] of images of each source, and of the target, that they are the target's. Sources are one domain.
    """
    of_sources = torch.cat([functional.softplus(each.float()) for each in sources]).mean()
    return (of_sources + functional.softplus(-target.float()).mean()) / 2
