"""What a step minimises while domains are brought together: cross-entropy where there are labels, and a term of features."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor

from jobs.adaptation.losses import coral_loss, domain_loss, reversal_strength, reverse_gradient
from jobs.adaptation.network import DomainNetwork
from jobs.training.batches import TARGET, Batch, Feed
from jobs.training.objective import Counts, CrossEntropy, Forward, Objective, build_cross_entropy, mix
from tlbatch.spec.train import Train

#: of the sources' features and the target's, and the share of the training that is done: a scalar that gradients flow through
Term = Callable[[Forward, Sequence[Tensor], Tensor, float], Tensor]


def deep_coral(weight: float, network: Forward, sources: Sequence[Tensor], target: Tensor, share: float) -> Tensor:
    """The mean over the sources of ``coral_loss`` with the target, times ``weight``."""
    return weight * torch.stack([coral_loss(source, target) for source in sources]).mean()


def dann(weight: float, network: Forward, sources: Sequence[Tensor], target: Tensor, share: float) -> Tensor:
    """What a classifier still errs in telling the domains apart. It learns to; features unlearn what it goes by."""
    tells_apart = cast(DomainNetwork, network.network).tells_apart
    assert tells_apart is not None
    strength = weight * reversal_strength(share)
    with network.precision():
        found = tells_apart(reverse_gradient(torch.cat([*sources, target]), strength))
    *of_sources, of_target = found.split([len(each) for each in (*sources, target)])
    return domain_loss(of_sources, of_target)


@dataclass(frozen=True)
class Adapting:
    """Cross-entropy, the mean over the ``taught`` roles, each weighing the same; plus ``term`` of ``sources`` and the target.

    Each role's batch goes through the network alone, with the statistics of its domain. Mixing (mixup, CutMix) mixes every
    role's images alike. What is recorded as the loss is the cross-entropy.
    """

    entropy: CrossEntropy
    taught: Sequence[str]
    sources: Sequence[str]
    term: Term | None = None

    def __call__(self, network: Forward, batches: Mapping[str, Batch]) -> tuple[Tensor, Counts]:
        roles = dict.fromkeys([*self.taught, *([*self.sources, TARGET] if self.term else [])])
        features, losses, right, images = {}, [], [], 0
        for role in roles:
            batch = batches[role]
            targets = self._targets(batch).to(batch.x.device)
            x, targets = mix(batch.x, targets, self.entropy.train, batch.at.generator("mix"))
            with network.precision(), cast(DomainNetwork, network.network).in_domain(role) as domain:
                features[role] = domain.features(x)
                logits = domain.classify(features[role]) if role in self.taught else None
            if logits is not None:
                losses.append(self.entropy.loss(logits, targets))
                right.append((logits.detach().argmax(dim=1) == targets.argmax(dim=1)).sum())
                images += len(x)
        loss = torch.stack(losses).mean()
        counts = Counts(images, torch.stack(right).sum(), loss.detach())
        if self.term is None:
            return loss, counts
        share = batches[TARGET].at.share
        return loss + self.term(network, [features[role] for role in self.sources], features[TARGET], share), counts

    def _targets(self, batch: Batch) -> Tensor:
        """One-hot [n, classes]; zeros of an image whose label is not to be read."""
        return self.entropy.targets(batch.labels.clamp(min=0)) * (batch.labels >= 0).float()[:, None]


def build_adapting(
    term: Term | None,
    taught: Sequence[str],
    sources: Sequence[str],
    train: Train,
    classes: list[str],
    feeds: Mapping[str, Feed],
) -> Objective:
    """Classes weigh as they do among all images that teach."""
    labels = torch.cat([feeds[role].train_labels for role in taught])
    return Adapting(build_cross_entropy(train, classes, labels), taught, sources, term)


def term_of(method: str, weight: float) -> Term | None:
    """None of a method that does not bring domains together."""
    terms: Mapping[str, Callable[..., Tensor]] = {"deep_coral": deep_coral, "dann": dann}
    return partial(terms[method], weight) if method in terms else None
