"""A backbone with its head, end to end, held to where it started where the study says so. ``finetune``."""

from __future__ import annotations

from functools import partial

import torch

from jobs.context import Context
from jobs.strategies.network import train_network
from jobs.training.learning import Learning
from jobs.training.outcome import Outcome
from jobs.training.penalty import l2_sp
from jobs.training.settings import Settings
from jobs.training.split_data import Parts
from tlbatch.strategies.finetune import Finetune


def train(context: Context, settings: Settings, parts: Parts, device: torch.device) -> Outcome:
    """On the target's items."""
    held = settings.own.l2_sp if isinstance(settings.own, Finetune) else None
    penalty = None if held is None else partial(l2_sp, held.alpha, held.beta)
    return train_network(context, settings, parts, device, lambda feeds: Learning(feeds, penalty=penalty))
