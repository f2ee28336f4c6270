"""What a step minimises: cross-entropy on soft targets, with class weights, label smoothing, mixup and CutMix."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from tlbatch.spec.train import Train


@dataclass(frozen=True)
class Objective:
    """``class_weights`` [classes] float32 or None; the rest as in the study."""

    n_classes: int
    class_weights: Tensor | None
    label_smoothing: float

    def targets(self, labels: Tensor) -> Tensor:
        """One-hot float32 [n, classes] of int64 labels."""
        return functional.one_hot(labels, self.n_classes).float()

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Mean over the batch (as Keras has it: weights do not change the divisor). A scalar, float32."""
        smooth = self.label_smoothing
        soft = targets * (1 - smooth) + smooth / self.n_classes if smooth else targets
        each = -(soft * functional.log_softmax(logits.float(), dim=1)).sum(dim=1)
        if self.class_weights is not None:
            each = each * (targets @ self.class_weights.to(targets.device))
        return each.mean()


def build_objective(train: Train, classes: list[str], labels: Tensor) -> Objective:
    """``balanced``: n / (classes · images of the class), so that every class weighs the same and the mean weight is 1."""
    weights: Tensor | None = None
    if train.class_weights == "balanced":
        counts = torch.bincount(labels, minlength=len(classes)).clamp(min=1).float()
        weights = len(labels) / (len(classes) * counts)
    elif isinstance(train.class_weights, dict):
        weights = torch.tensor([float(train.class_weights.get(name, 1.0)) for name in classes])
    return Objective(len(classes), weights, train.label_smoothing)


def mix(x: Tensor, targets: Tensor, train: Train, chance: torch.Generator) -> tuple[Tensor, Tensor]:
    """mixup (Zhang et al. 2017) or CutMix (Yun et al. 2019) of a batch with itself shuffled; both on: each half the time.

    CutMix needs maps [n, c, h, w]; on feature vectors mixup alone is used. Returns inputs and targets as they were when off.
    """
    cut_possible = train.cutmix > 0 and x.dim() == 4
    if len(x) < 2 or not (train.mixup > 0 or cut_possible):
        return x, targets
    cut = cut_possible and (train.mixup == 0 or float(torch.rand((), generator=chance)) < 0.5)
    share = _beta(train.cutmix if cut else train.mixup, chance)
    partner = torch.randperm(len(x), generator=chance).to(x.device)
    if not cut:
        return x * share + x[partner] * (1 - share), targets * share + targets[partner] * (1 - share)
    height, width = x.shape[2:]
    side = math.sqrt(1 - share)
    middle = torch.rand(2, generator=chance)
    top, bottom = _span(float(middle[0]) * height, side * height, height)
    left, right = _span(float(middle[1]) * width, side * width, width)
    mixed = x.clone()
    mixed[:, :, top:bottom, left:right] = x[partner, :, top:bottom, left:right]
    share = 1 - (bottom - top) * (right - left) / (height * width)
    return mixed, targets * share + targets[partner] * (1 - share)


def _span(middle: float, length: float, limit: int) -> tuple[int, int]:
    return max(0, round(middle - length / 2)), min(limit, round(middle + length / 2))


def _beta(alpha: float, chance: torch.Generator) -> float:
    """One draw of Beta(alpha, alpha), as a ratio of two gamma draws."""
    gamma = torch._standard_gamma(torch.full((2,), alpha, dtype=torch.float64), generator=chance)
    total = float(gamma.sum())
    return float(gamma[0]) / total if total > 0 else 0.5
