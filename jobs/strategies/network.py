"""Any network on images: a scratch CNN, or a backbone with its head. ``scratch`` and ``finetune``."""

from __future__ import annotations

import torch
from torch import nn

from jobs.context import Context
from jobs.models.building import build_network
from jobs.models.pretrained import load_pretrained
from jobs.training.fit import train as fit
from jobs.training.layers import learning_stages
from jobs.training.loading import image_feed
from jobs.training.outcome import Outcome, outcome_of
from jobs.training.pictures import write_augmented
from jobs.training.settings import Settings
from jobs.training.split_data import Parts


def train(context: Context, settings: Settings, parts: Parts, device: torch.device) -> Outcome:
    """A scratch CNN, or a backbone with its head, on images."""
    pretrained = None if settings.backbone is None else load_pretrained(context, settings.backbone)

    def build() -> nn.Module:
        network: nn.Module = build_network(
            settings.model, settings.input, len(parts.classes), pretrained, seed=settings.seed, init=settings.train.init
        )
        return network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    first = [build()]
    learning_stages(first[0], settings.finetune)  # what does not fit is said before a thousand images are decoded
    feed = image_feed(context, settings, parts, device)
    if settings.params.augmentation:
        write_augmented(feed, context.out("augmented.jpg"))
    trained = fit(context, settings, lambda: first.pop() if first else build(), feed)
    return outcome_of(context, settings, trained, feed, feed.shape)
