"""Judging a network on the validation images."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from jobs.training.batches import Feed


@torch.no_grad()
def validation_logits(network: nn.Module, feed: Feed, bf16: bool, tick: Callable[[], None] = lambda: None) -> Tensor:
    """float32 [m, classes] on the CPU, the network in eval mode; [0, 0] of no images. ``tick`` is called after every batch."""
    network.eval()
    pieces = []
    for x in feed.validation_batches():
        with torch.autocast(x.device.type, torch.bfloat16, enabled=bf16):
            pieces.append(network(x).float().cpu())
        tick()
    return torch.cat(pieces) if pieces else torch.empty((0, 0))


#: mean cross-entropy and top-1 accuracy
Judged = tuple[float, float]

#: from logits [m, outputs] and labels what decides about an epoch, and the same of each of several tasks (None: without labels)
Judge = Callable[[Tensor, Tensor], tuple[Judged, list[Judged | None]]]


def of_one_task(logits: Tensor, labels: Tensor) -> tuple[Judged, list[Judged | None]]:
    """Where there is one task."""
    return loss_and_accuracy(logits, labels), []


def loss_and_accuracy(logits: Tensor, labels: Tensor) -> Judged:
    """Mean cross-entropy (nats, no weights, no smoothing: comparable between runs) and top-1 accuracy."""
    loss = float(functional.cross_entropy(logits.double(), labels))
    return loss, float((logits.argmax(dim=1) == labels).double().mean())
