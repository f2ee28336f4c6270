"""A backbone with its head, end to end, held to where it started where the study says so. ``finetune``."""

from __future__ import annotations

from functools import partial

import torch

from jobs.context import Context
from jobs.models.anew import start_anew
from jobs.models.network import Network
from jobs.models.pretrained import Pretrained
from jobs.strategies.network import Start, train_network
from jobs.training.learning import Learning
from jobs.training.outcome import Outcome
from jobs.training.penalty import l2_sp
from jobs.training.phases import Phases
from jobs.training.settings import Settings
from jobs.training.split_data import Parts
from tlbatch.strategies.finetune import Finetune


def train(context: Context, settings: Settings, parts: Parts, device: torch.device) -> Outcome:
    """On the target's items."""
    own = settings.own
    if not isinstance(own, Finetune):
        raise TypeError(f"settings of fine-tuning are a Finetune, not a {type(own).__name__}")
    penalty = None if own.l2_sp is None else partial(l2_sp, own.l2_sp.alpha, own.l2_sp.beta)
    learning = partial(Learning, penalty=penalty)
    once, phases = settings.strategy_entry.frozen_once, phases_of(own)
    return train_network(context, settings, parts, device, learning, phases, start_of(settings, own), frozen_once=once)


def start_of(settings: Settings, own: Finetune) -> Start:
    """Which stages start anew, as a study sets it."""

    def start(network: Network, pretrained: Pretrained | None) -> None:
        if own.transfer is not None and pretrained is not None:
            start_anew(network, settings.model, settings.input, pretrained, own.transfer, seed=settings.seed)

    return start


def phases_of(own: Finetune) -> Phases:
    """Which stages learn when, as a study sets it."""
    named = None if own.unfreeze == "all" else () if own.unfreeze == "none" else tuple(own.unfreeze)
    return Phases(named, own.warm_up, own.gradual, own.lr_scale, own.lr_decay, own.batch_norm)
