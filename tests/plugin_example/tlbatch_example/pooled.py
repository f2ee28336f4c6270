"""The half of pooled that trains: one network, and in every step a batch of the target's images and one of each source's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from jobs.context import Context
from jobs.strategies.network import train_network
from jobs.training.batches import TARGET, Batch, Feed
from jobs.training.learning import Learning
from jobs.training.objective import Counts, CrossEntropy, Forward, Objective, build_cross_entropy
from jobs.training.outcome import Outcome
from jobs.training.settings import Settings
from jobs.training.split_data import Parts
from tlbatch.spec.train import Train


@dataclass(frozen=True)
class Pooled:
    """Cross-entropy over the target's images and the sources' together, each source's counting ``weight`` times."""

    entropy: CrossEntropy
    weight: float

    def __call__(self, network: Forward, batches: Mapping[str, Batch]) -> tuple[Tensor, Counts]:
        total, images, right = torch.zeros(()), 0, torch.zeros((), dtype=torch.int64)
        for role, batch in batches.items():
            loss, counts = self.entropy.of(network, batch)
            total = total.to(loss) + loss * (1.0 if role == TARGET else self.weight)
            images, right = images + counts.images, right.to(counts.right) + counts.right
        return total, Counts(images, right)


def objective(weight: float, train: Train, classes: list[str], feeds: Mapping[str, Feed]) -> Objective:
    return Pooled(build_cross_entropy(train, classes, feeds[TARGET].train_labels), weight)


def train(context: Context, settings: Settings, parts: Parts, device: torch.device) -> Outcome:
    own = settings.own
    weight, size = own.weight, own.batch_size  # type: ignore[union-attr]

    def learning(feeds: Mapping[str, Feed]) -> Learning:
        sizes = {} if size is None else {role: size for role in feeds if role != TARGET}
        return Learning(feeds, partial(objective, weight), sizes)

    return train_network(context, settings, parts, device, learning)
