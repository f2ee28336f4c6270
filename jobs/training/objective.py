"""What a step minimises: a function of the network and of the batches by role. Cross-entropy of the target's, unless a strategy
has its own: on soft targets, with class weights, label smoothing, mixup and CutMix."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional

from jobs.training.batches import TARGET, At, Batch, Feed
from tlbatch.spec.train import Train


@dataclass(frozen=True)
class Counts:
    """Of the images that a loss is the mean over: how many there were, and of how many (a scalar) the label was named first.

    ``recorded``: the part of the loss (a scalar) that is recorded, without terms that are no error; None: all of it.
    ``tasks`` [tasks, 3] float64: of each of several tasks its loss times the images that have its label, how many of these are
    right, and how many they are.
    """

    images: int
    right: Tensor
    recorded: Tensor | None = None
    tasks: Tensor | None = None

    def __add__(self, other: Counts) -> Counts:
        """Of two pieces of a batch."""

        def both(one: Tensor | None, another: Tensor | None) -> Tensor | None:
            return one if another is None else another if one is None else one + another

        recorded, tasks = both(self.recorded, other.recorded), both(self.tasks, other.tasks)
        return Counts(self.images + other.images, self.right + other.right, recorded, tasks)


class Forward:
    """The network as an objective calls it: in the training's precision. ``network``: itself, for its parts."""

    def __init__(self, network: nn.Module, device: torch.device, bf16: bool) -> None:
        self.network, self._device, self._bf16 = network, device, bf16

    def __call__(self, x: Tensor) -> Tensor:
        with self.precision():
            logits: Tensor = self.network(x)
        return logits

    def fed(self, feed: Feed, indices: Tensor, at: At, piece: slice | None = None) -> Tensor:
        """What it is called with, of a batch: all of it. Pieces are ``jobs.training.sharing``'s."""
        return feed.batch(indices, at.epoch, at.step)

    def precision(self) -> torch.autocast:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16)


class Objective(Protocol):
    """The loss of one step (a scalar that gradients flow through), and what it was taken of. It keeps no state of its own: what
    learns is a part of the network, and chance comes from where a batch is ``at``. So a training goes on bit for bit."""

    def __call__(self, network: Forward, batches: Mapping[str, Batch]) -> tuple[Tensor, Counts]: ...


@runtime_checkable
class InPieces(Protocol):
    """An objective that is a sum over the rows of a batch, so that it can be had of one piece after the other."""

    def part(self, network: Forward, batches: Mapping[str, Batch], rows: slice) -> tuple[Tensor, Counts]:
        """What these rows add to the loss of the whole batch (all parts add up to it), and their counts.

        The network gives the logits of these rows. Labels are those of the whole batch; inputs, too, where batches are mixed,
        else they are the rows'.
        """


#: an objective from how the study trains, its classes, and what each role feeds
BuildObjective = Callable[[Train, list[str], Mapping[str, Feed]], Objective]


@dataclass(frozen=True)
class CrossEntropy:
    """``class_weights`` [classes] float32 or None; the rest as in the study. ``train`` says how images are mixed."""

    n_classes: int
    class_weights: Tensor | None
    label_smoothing: float
    train: Train = field(default_factory=Train)

    def __call__(self, network: Forward, batches: Mapping[str, Batch]) -> tuple[Tensor, Counts]:
        """Of the target's images alone."""
        return self.of(network, batches[TARGET])

    def part(self, network: Forward, batches: Mapping[str, Batch], rows: slice) -> tuple[Tensor, Counts]:
        loss, counts = self.of(network, batches[TARGET], rows)
        return loss * (counts.images / len(batches[TARGET].labels)), counts

    def of(self, network: Forward, batch: Batch, rows: slice | None = None) -> tuple[Tensor, Counts]:
        """Of one batch, mixed with itself where the study says so; or the mean over some of its rows."""
        targets = self.targets(batch.labels).to(batch.x.device)
        x, targets = mix(batch.x, targets, self.train, batch.at.generator("mix"), rows)
        logits = network(x)
        right = (logits.detach().argmax(dim=1) == targets.argmax(dim=1)).sum()
        return self.loss(logits, targets), Counts(len(logits), right)

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


def build_cross_entropy(train: Train, classes: list[str], labels: Tensor) -> CrossEntropy:
    """Of images with these labels.

    ``balanced``: n / (classes · images of the class), so that every class weighs the same and the mean weight is 1.
    """
    weights: Tensor | None = None
    if train.class_weights == "balanced":
        counts = torch.bincount(labels, minlength=len(classes)).clamp(min=1).float()
        weights = len(labels) / (len(classes) * counts)
    elif isinstance(train.class_weights, dict):
        weights = torch.tensor([float(train.class_weights.get(name, 1.0)) for name in classes])
    return CrossEntropy(len(classes), weights, train.label_smoothing, train)


def on_target(train: Train, classes: list[str], feeds: Mapping[str, Feed]) -> Objective:
    """Cross-entropy of the target's images: what a strategy minimises that says nothing else."""
    return build_cross_entropy(train, classes, feeds[TARGET].train_labels)


def mixes(train: Train) -> bool:
    """Whether a row of a batch may have something of any other."""
    return train.mixup > 0 or train.cutmix > 0


def mix(x: Tensor, targets: Tensor, train: Train, chance: torch.Generator, rows: slice | None = None) -> tuple[Tensor, Tensor]:
    """mixup (Zhang et al. 2017) or CutMix (Yun et al. 2019) of a batch with itself shuffled; both on: each half the time.

    CutMix needs maps [n, c, h, w]; on feature vectors mixup alone is used. Returns inputs and targets as they were when off.
    With ``rows`` these alone of what the whole batch would be; when off, ``x`` may be no more than they.
    """
    rows, n = rows or slice(0, len(targets)), len(targets)
    cut_possible = train.cutmix > 0 and x.dim() == 4
    if n < 2 or not (train.mixup > 0 or cut_possible):
        return x[rows] if len(x) == n and rows.stop - rows.start < n else x, targets[rows]
    cut = cut_possible and (train.mixup == 0 or float(torch.rand((), generator=chance)) < 0.5)
    share = _beta(train.cutmix if cut else train.mixup, chance)
    partner = torch.randperm(n, generator=chance).to(x.device)[rows]
    if not cut:
        return x[rows] * share + x[partner] * (1 - share), targets[rows] * share + targets[partner] * (1 - share)
    height, width = x.shape[2:]
    side = math.sqrt(1 - share)
    middle = torch.rand(2, generator=chance)
    top, bottom = _span(float(middle[0]) * height, side * height, height)
    left, right = _span(float(middle[1]) * width, side * width, width)
    mixed = x[rows].clone()
    mixed[:, :, top:bottom, left:right] = x[partner, :, top:bottom, left:right]
    share = 1 - (bottom - top) * (right - left) / (height * width)
    return mixed, targets[rows] * share + targets[partner] * (1 - share)


def _span(middle: float, length: float, limit: int) -> tuple[int, int]:
    return max(0, round(middle - length / 2)), min(limit, round(middle + length / 2))


def _beta(alpha: float, chance: torch.Generator) -> float:
    """One draw of Beta(alpha, alpha), as a ratio of two gamma draws."""
    gamma = torch._standard_gamma(torch.full((2,), alpha, dtype=torch.float64), generator=chance)
    total = float(gamma.sum())
    return float(gamma[0]) / total if total > 0 else 0.5
