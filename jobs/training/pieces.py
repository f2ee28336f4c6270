"""A batch that goes through the network piece by piece, because all of it at once would not fit into memory.

Gradients of the pieces add up to that of the batch ("gradient accumulation"), and the optimiser steps once. Of a piece, and not
of the batch, are only the statistics that BatchNorm takes while it learns them ("ghost batches": Hoffer, Hubara and Soudry
2017, "Train longer, generalize better", section 4).
"""

from __future__ import annotations

from typing import cast

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from jobs.training.phases import Phases
from jobs.training.protocol import Trainable
from tlbatch import nouns
from tlbatch.spec.train import Train


def pieces_of(n: int, most: int) -> list[slice]:
    """The rows of a batch of ``n`` in as few pieces of at most ``most`` as there can be, as even as they can be.

    None has one row where two are allowed, as no batch has (jobs.training.sampling): then the last two rows make a piece with
    the one before them, so that a piece of three comes of ``most`` 2.
    """
    count = -(-n // most)
    if most > 1:
        count = max(1, min(count, n // 2))
    return [slice(n * place // count, n * (place + 1) // count) for place in range(count)]


def in_words(network: nn.Module, phases: Phases, train: Train) -> str:
    """A sentence about pieces, and what is not as with whole batches. Sets stages and modes, as every epoch does."""
    stages = cast(Trainable, network)
    stages.freeze(phases.ever([stage.name for stage in stages.stages]))
    taken = {size: _taking_statistics(network, phases, size) for size in (train.batch_size, train.at_once)}
    whole, pieces = taken[train.batch_size], taken[train.at_once]
    found = f"batches of {train.batch_size} {nouns.items()} go through the network in pieces of {train.at_once} at most"
    if pieces:
        found += "; BatchNorm that learns statistics takes those of a piece"
    if pieces < whole:
        found += "; in pretrained stages it keeps its statistics, as with batches of that size"
    return found if whole else f"{found}: gradients are those of the whole batch"


def _taking_statistics(network: nn.Module, phases: Phases, size: int) -> int:
    """Layers of BatchNorm that would take statistics of ``size`` items."""
    cast(Trainable, network).train_mode(phases.batch_norm, size)
    return sum(module.training for module in network.modules() if isinstance(module, _BatchNorm))
