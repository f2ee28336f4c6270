"""A network that learns from labelled sources while its features of these and of the target become alike. ``adapt_network``.

Batches of each domain go through the network on their own. What is chosen, the epoch and the rate, and the calibration are
by what sources hold out; by the target's validation images only with ``target_labels: all``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from jobs.adaptation.methods import Floats
from jobs.adaptation.network import DomainNetwork, InDomain, build_domain_classifier
from jobs.adaptation.objective import build_adapting, term_of
from jobs.adaptation.seen import JUDGED, places, proxy_distance
from jobs.context import Context
from jobs.models.network import Network
from jobs.strategies.finetune import phases_of, start_of
from jobs.strategies.network import FittedNetwork, fit_network
from jobs.training.batches import TARGET, Feed
from jobs.training.learning import Learning
from jobs.training.outcome import Outcome, outcome_of
from jobs.training.penalty import l2_sp
from jobs.training.phases import EVERYTHING
from jobs.training.settings import Settings
from jobs.training.split_data import Parts
from tlbatch.strategies.adapt import SOURCE_ONLY, TARGET_ONLY, read_in_words
from tlbatch.strategies.adapt_network import ALIGNING, DANN, AdaptNetwork

LABELLED = f"{TARGET}:labelled"
"""A role beside the target: its few images that have labels. They are so few among all that most batches would show none."""


@dataclass(frozen=True)
class Shown:
    """Of a feed the training images in ``rows`` alone, and nothing to judge by."""

    feed: Feed
    rows: Tensor

    @property
    def train_labels(self) -> Tensor:
        return self.feed.train_labels[self.rows]

    @property
    def validation_labels(self) -> Tensor:
        return torch.empty(0, dtype=torch.int64)

    def batch(self, indices: Tensor, epoch: int, step: int) -> Tensor:
        return self.feed.batch(self.rows[indices], epoch, step)

    def validation_batches(self) -> Iterator[Tensor]:
        yield from ()


@dataclass(frozen=True)
class Counted:
    """A feed whose training images make the epochs and are not looked at."""

    feed: Feed

    @property
    def train_labels(self) -> Tensor:
        return self.feed.train_labels

    @property
    def validation_labels(self) -> Tensor:
        return self.feed.validation_labels

    def batch(self, indices: Tensor, epoch: int, step: int) -> Tensor:
        return torch.empty((len(indices), 0))

    def validation_batches(self) -> Iterator[Tensor]:
        return self.feed.validation_batches()


def train(context: Context, settings: Settings, parts: Parts, device: torch.device) -> Outcome:
    """The network alone is published: no statistics of sources, nothing that tells domains apart."""
    own = settings.own
    assert isinstance(own, AdaptNetwork)
    taught, sources = taught_roles(own, parts), tuple(parts.sources)
    judged_on = _judged_on(settings, parts)
    apart = [*sources, *(role for role in taught if role == LABELLED)] if own.method in ALIGNING else []
    penalty = None if own.l2_sp is None else partial(l2_sp, own.l2_sp.alpha, own.l2_sp.beta)

    def around(network: Network) -> nn.Module:
        if own.method != DANN:
            return DomainNetwork(network, apart)
        dim, init = network.backbone.dim, settings.train.init
        return DomainNetwork(network, apart, build_domain_classifier(dim, own.domain_layers, seed=settings.seed, init=init))

    def learning(feeds: Mapping[str, Feed]) -> Learning:
        read: dict[str, Feed] = dict(feeds)
        if LABELLED in taught:
            read[LABELLED] = Shown(feeds[TARGET], torch.nonzero(feeds[TARGET].train_labels >= 0)[:, 0])
        unread = set(feeds) - {*taught, *([*sources, TARGET] if own.method in ALIGNING else [])}
        read |= {role: Counted(feeds[role]) for role in unread}
        objective = partial(build_adapting, term_of(own.method, own.weight), taught, sources)
        return Learning(read, objective, penalty=penalty, judged_on=judged_on, as_judge=_as_judge)

    phases = EVERYTHING if settings.backbone is None else phases_of(own)
    fitted = fit_network(context, settings, parts, device, learning, phases, start_of(settings, own), around)
    outcome = outcome_of(context, fitted.trained, fitted.feeds[TARGET].shape)
    assert isinstance(outcome.network, DomainNetwork)
    return replace(
        outcome,
        network=outcome.network.network,
        facts={"adaptation": _facts(settings, own, parts, judged_on)},
        documents={"adaptation.json": _seen(context, settings, own, fitted)},
    )


def taught_roles(own: AdaptNetwork, parts: Parts) -> tuple[str, ...]:
    """Whose labels are learnt from."""
    sources = () if own.method == TARGET_ONLY else tuple(parts.sources)
    target = {"none": (), "few": (LABELLED,), "all": (TARGET,)}[own.target_labels]
    return sources if own.method == SOURCE_ONLY else (*sources, *target)


def _judged_on(settings: Settings, parts: Parts) -> tuple[str, ...]:
    if settings.labels_read is None:
        return (TARGET,)
    return tuple(role for role in parts.sources if parts.of(role).validation)


def _as_judge(network: nn.Module, role: str) -> nn.Module:
    assert isinstance(network, DomainNetwork)
    return InDomain(network, role)


# -- what is said of it ---------------------------------------------------------------------------------------------------


def _facts(settings: Settings, own: AdaptNetwork, parts: Parts, judged_on: tuple[str, ...]) -> dict[str, Any]:
    """What the card says: by what it was chosen, and which labels were read."""
    read = 0 if own.method == SOURCE_ONLY else int((parts.labels(parts.train) >= 0).sum())
    return {
        "method": own.method,
        "target_labels": read_in_words(own.model_dump(mode="json")),
        "target_labels_read": read,
        "chosen_by": _chosen_by(settings, judged_on),
        "calibrated_on": list(judged_on),
    }


def _chosen_by(settings: Settings, judged_on: tuple[str, ...]) -> str:
    if not settings.chooses:
        return "nothing that was measured: its last epoch is kept, at the rate that the study names"
    held_out = ", ".join(role.partition(":")[2] for role in judged_on)
    return "the target's validation" if judged_on == (TARGET,) else f"what {held_out} holds out"


@torch.no_grad()
def _seen(context: Context, settings: Settings, own: AdaptNetwork, fitted: FittedNetwork) -> dict[str, Any]:
    """Features of each domain as the trained network has them. What they were before is for the control to say."""
    network, domains = fitted.trained.trainer.judged, dict[str, Floats]()
    assert isinstance(network, DomainNetwork)
    network.eval()
    for role, feed in fitted.feeds.items():
        n, pieces = len(feed.train_labels), []
        for x in feed.plain_batches(torch.from_numpy(np.linspace(0, n - 1, min(n, JUDGED)).astype(np.int64))):
            context.check_stop()
            with torch.autocast(x.device.type, torch.bfloat16, enabled=settings.bf16), network.in_domain(role) as domain:
                pieces.append(domain.features(x).float().cpu())
        domains[role] = torch.cat(pieces).double().numpy()
    sources = np.concatenate([x for role, x in domains.items() if role != TARGET])
    return {
        "method": own.method,
        "distance": {"after": proxy_distance(sources, domains[TARGET])},
        "places": {"after": places(domains)},
    }
