"""Any network on items: a scratch CNN, or a backbone with its head. ``scratch`` and ``finetune``.

A strategy that feeds such a network with other batches, or minimises something else, hands ``train_network`` its ``Learning``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import nn

from jobs.context import Context
from jobs.kinds import feed_of
from jobs.models.building import build_network
from jobs.models.network import Network
from jobs.models.pretrained import Pretrained, load_pretrained
from jobs.training.batches import TARGET, Feed
from jobs.training.fit import train as fit
from jobs.training.items import varied_sheet
from jobs.training.layers import learning_stages
from jobs.training.learning import Learning
from jobs.training.loading import item_feed
from jobs.training.outcome import Outcome, outcome_of
from jobs.training.phases import EVERYTHING, Phases
from jobs.training.settings import Settings
from jobs.training.split_data import Parts


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
    start: Callable[[Network, Pretrained | None], None] = lambda network, pretrained: None,
) -> Outcome:
    """A scratch CNN, or a backbone with its head.

    ``learning``: of what each role feeds, what the loop is handed; ``phases``: which of the network's stages learn when;
    ``start``: what else is done to a network that has its first weights, before it learns.
    """
    pretrained = None if settings.backbone is None else load_pretrained(context, settings.backbone)

    def build() -> nn.Module:
        network = build_network(
            settings.model, settings.input, len(parts.classes), pretrained, seed=settings.seed, init=settings.train.init
        )
        start(network, pretrained)
        return network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    first = [build()]
    learning_stages(first[0], phases)  # what does not fit is said before a thousand images are decoded
    feeds = {role: item_feed(context, settings, parts, device, role) for role in parts.roles}
    feed = feeds[TARGET]
    if settings.params.augmentation and (sheet := varied_sheet(feed, feed_of(settings.input))) is not None:
        context.out("augmented.jpg").write_bytes(sheet)
    trained = fit(context, settings, lambda: first.pop() if first else build(), replace(learning(feeds), phases=phases))
    return outcome_of(context, settings, trained, feed, feed.shape)
