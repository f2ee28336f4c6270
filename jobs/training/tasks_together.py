"""Several tasks learnt together by one network: a column of outputs for each class of each task, one task after the other.

What lies before these columns is shared: the backbone, and dense layers of the head. A task's own head is its part of the last
layer; with the rest of the network it is a model like any other, which is what a training of several tasks leaves for each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import cast

import torch
from torch import Tensor, nn

from jobs.training.batches import TARGET, Batch, Feed
from jobs.training.learning import Learning
from jobs.training.objective import Counts, CrossEntropy, Forward, build_cross_entropy
from jobs.training.settings import Settings
from jobs.training.validation import Judged, loss_and_accuracy
from tlbatch.contracts.data import LearntTask
from tlbatch.spec.train import Train

LOG_VARIANCES = "log_variances"
UNCERTAINTY = "uncertainty"


@dataclass(frozen=True)
class Head:
    """A task's loss, over the items that have its label, and where its outputs are among all."""

    name: str
    columns: slice
    loss: CrossEntropy


@dataclass(frozen=True)
class Together:
    """The weighted sum of the tasks' losses: L = Σ w_t L_t, each L_t the mean over those items of a batch that have its label.

    A task that no item of a batch has a label of adds nothing to that batch's. ``weights`` [tasks] of all tasks, or None: by
    uncertainty, L = Σ exp(-s_t) L_t + s_t / 2 with s_t = log σ_t² learnt (Kendall, Gal and Cipolla 2018, "Multi-task learning
    using uncertainty to weigh losses for scene geometry and semantics", equation 10, in its form for classification).
    """

    heads: tuple[Head, ...]
    weights: tuple[float, ...] | None

    def __call__(self, network: Forward, batches: Mapping[str, Batch]) -> tuple[Tensor, Counts]:
        return self.part(network, batches, slice(0, len(batches[TARGET].labels)))

    def part(self, network: Forward, batches: Mapping[str, Batch], rows: slice) -> tuple[Tensor, Counts]:
        """Each task's is the share of the batch's items with its label that are among these rows, times their mean."""
        batch = batches[TARGET]
        logits = network(batch.x)
        total, told = logits.new_zeros((), dtype=torch.float32), torch.zeros(len(self.heads), 3, dtype=torch.float64)
        told = told.to(logits.device)
        for place, head in enumerate(self.heads):
            of_batch = batch.labels[:, place]
            known = of_batch[rows] >= 0
            if not known.any():
                continue
            labels = of_batch[rows][known]
            own = logits[known.to(logits.device)][:, head.columns]
            loss = head.loss.loss(own, head.loss.targets(labels).to(own.device))
            share = len(labels) / int((of_batch >= 0).sum())
            total = total + self._weighted(loss, place, network.network) * share
            right = (own.detach().argmax(dim=1).cpu() == labels).sum()
            told[place] = torch.stack(
                [loss.detach().double() * len(labels), right.to(loss.device), loss.new_tensor(len(labels))]
            )
        return total, Counts(int(told[:, 2].sum()), told[:, 1].sum(), tasks=told)

    def _weighted(self, loss: Tensor, place: int, network: nn.Module) -> Tensor:
        if self.weights is not None:
            return self.weights[place] * loss
        log_variance = log_variances(network)[0][place]
        return torch.exp(-log_variance) * loss + log_variance / 2


def log_variances(network: nn.Module) -> list[nn.Parameter]:
    """The parameter s [tasks] of a network whose tasks are weighted by uncertainty; empty of others."""
    found = getattr(network, LOG_VARIANCES, None)
    return [] if found is None else [cast(nn.Parameter, found)]


def columns_of(tasks: Sequence[LearntTask]) -> list[slice]:
    """Where each task's outputs are."""
    ends = list(accumulate(len(task.classes) for task in tasks))
    return [slice(end - len(task.classes), end) for task, end in zip(tasks, ends, strict=True)]


def learn_together(
    settings: Settings, learning: Learning, build: Callable[[], nn.Module]
) -> tuple[Learning, Callable[[], nn.Module]]:
    """What the training loop is handed where a task learns several: their objective, and a network that may weigh them."""
    tasks, asked = settings.tasks, settings.train.task_weights

    def objective(train: Train, classes: list[str], feeds: Mapping[str, Feed]) -> Together:
        return together(train, tasks, feeds[TARGET].train_labels)

    def judge(logits: Tensor, labels: Tensor) -> tuple[Judged, list[Judged | None]]:
        return judged_together(tasks, logits, labels)

    def weighing() -> nn.Module:
        network = build()
        device = next(network.parameters()).device
        network.register_parameter(LOG_VARIANCES, nn.Parameter(torch.zeros(len(tasks), device=device)))
        return network

    names = tuple(task.name for task in tasks)
    several = replace(learning, objective=objective, tasks=names, judge=judge, weighs=log_variances)
    return several, weighing if asked == UNCERTAINTY else build


def together(train: Train, tasks: Sequence[LearntTask], labels: Tensor) -> Together:
    """``labels`` int64 [n, tasks] of the training items, -1 where not known; class weights are of those that are."""
    heads = []
    for place, (task, columns) in enumerate(zip(tasks, columns_of(tasks), strict=True)):
        known = labels[labels[:, place] >= 0, place]
        heads.append(Head(task.name, columns, build_cross_entropy(train, list(task.classes), known)))
    asked = train.task_weights
    if asked == UNCERTAINTY:
        return Together(tuple(heads), None)
    given = {} if isinstance(asked, str) else asked
    return Together(tuple(heads), tuple(given.get(task.name, 1.0) for task in tasks))


def judged_together(tasks: Sequence[LearntTask], logits: Tensor, labels: Tensor) -> tuple[Judged, list[Judged | None]]:
    """The means over the tasks of loss and accuracy, each over the items that have its label; and these themselves.

    Tasks without a label here count for nothing, and are None.
    """
    found: list[Judged | None] = []
    for place, columns in enumerate(columns_of(tasks)):
        known = labels[:, place] >= 0
        there = bool(known.any())
        found.append(loss_and_accuracy(logits[known][:, columns], labels[known, place]) if there else None)
    counted = [judged for judged in found if judged is not None]
    loss, accuracy = (sum(values) / len(counted) for values in zip(*counted, strict=True)) if counted else (0.0, 0.0)
    return (loss, accuracy), found
