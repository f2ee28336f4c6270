"""Any network on items: a scratch CNN, or a backbone with its head. ``scratch`` and ``finetune``.

A strategy that feeds such a network with other batches, or minimises something else, hands ``train_network`` its ``Learning``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import nn

from jobs.context import Context
from jobs.kinds import feed_of
from jobs.models.boundary import begin_at, run_whole
from jobs.models.building import build_network
from jobs.models.network import Network
from jobs.models.pretrained import Pretrained, load_pretrained
from jobs.strategies.frozen import run_frozen_once
from jobs.training.batches import TARGET, Feed
from jobs.training.convolutions import spare_bfloat16
from jobs.training.fit import Trained
from jobs.training.fit import train as fit
from jobs.training.items import ItemFeed, varied_sheet
from jobs.training.layers import learning_stages
from jobs.training.learning import Learning
from jobs.training.loading import item_feed
from jobs.training.outcome import Outcome, outcome_of
from jobs.training.phases import EVERYTHING, Phases
from jobs.training.settings import Settings
from jobs.training.split_data import Parts

#: what else is done to a network that has its first weights, before it learns; and the pretrained ones, if any
Start = Callable[[Network, Pretrained | None], None]


def from_its_first_weights(network: Network, pretrained: Pretrained | None) -> None:
    """As it is built."""


def train(context: Context, settings: Settings, parts: Parts, device: torch.device) -> Outcome:
    """On the target's items."""
    return train_network(context, settings, parts, device, Learning)


def train_network(
    context: Context,
    settings: Settings,
    parts: Parts,
    device: torch.device,
    learning: Callable[[Mapping[str, Feed]], Learning],
    phases: Phases = EVERYTHING,
    start: Start = from_its_first_weights,
    *,
    frozen_once: bool = False,
) -> Outcome:
    """A scratch CNN, or a backbone with its head.

    ``learning``: of what each role feeds, what the loop is handed; ``phases``: which of the network's stages learn when;
    ``start``: what else is done to a network that has its first weights, before it learns. ``frozen_once``: stages that never
    learn may be run before the first epoch, so that batches are what these put out; not for who looks at items, or into
    stages, while the network learns.
    """
    fitted = fit_network(context, settings, parts, device, learning, phases, start, frozen_once=frozen_once)
    outcome = outcome_of(context, fitted.trained, fitted.fed)
    run_whole(outcome.network)
    return replace(outcome, shape=fitted.shape)


@dataclass(frozen=True)
class FittedNetwork:
    """``trained``, on what ``feeds`` gave by role. ``shape``: of an item; ``fed``: of an input to what was trained."""

    trained: Trained
    feeds: Mapping[str, ItemFeed]
    shape: tuple[int, ...]
    fed: tuple[int, ...]


def as_it_is(network: Network) -> nn.Module:
    return network


def fit_network(
    context: Context,
    settings: Settings,
    parts: Parts,
    device: torch.device,
    learning: Callable[[Mapping[str, Feed]], Learning],
    phases: Phases = EVERYTHING,
    start: Start = from_its_first_weights,
    around: Callable[[Network], nn.Module] = as_it_is,
    *,
    frozen_once: bool = False,
) -> FittedNetwork:
    """The same, for who needs more of it than its outcome. ``around``: of the network, the module that is trained.

    With ``frozen_once`` the network may begin at a boundary until ``run_whole``, and its feed of items is gone.
    """
    pretrained = None if settings.backbone is None else load_pretrained(context, settings.backbone)

    def build() -> nn.Module:
        network = build_network(
            settings.model, settings.input, len(parts.classes), pretrained, seed=settings.seed, init=settings.train.init
        )
        start(network, pretrained)
        trained: nn.Module = around(network).to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if settings.bf16 and device.type == "cpu":
            spare_bfloat16(trained)
        return trained

    first = build()
    learning_stages(first, phases)  # what does not fit is said before a thousand images are decoded
    feeds = {role: item_feed(context, settings, parts, device, role) for role in parts.roles}
    if settings.params.augmentation and (sheet := varied_sheet(feeds[TARGET], feed_of(settings.input))) is not None:
        context.out("augmented.jpg").write_bytes(sheet)
    shape, fed = feeds[TARGET].shape, dict[str, Feed](feeds)
    frozen = run_frozen_once(context, settings, feeds[TARGET], first, phases, device) if frozen_once else None
    if frozen is not None:
        fed[TARGET] = frozen.feed
        feeds.clear()  # what the items take in memory goes
    if context.group is not None:
        context.group.ready(context.stop_requested)
    ready = [first]
    del first

    def next_built() -> nn.Module:
        network = ready.pop() if ready else build()
        if frozen is not None:
            begin_at(network, frozen.boundary)
        return network

    trained = fit(context, settings, next_built, replace(learning(fed), phases=phases))
    return FittedNetwork(trained, feeds, shape, shape if frozen is None else frozen.feed.shape)
