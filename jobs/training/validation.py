"""Judging a network on the validation images."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from jobs.training.batches import Feed
from jobs.training.group import Group


@torch.no_grad()
def validation_logits(
    network: nn.Module, feed: Feed, bf16: bool, tick: Callable[[], None] = lambda: None, most: int | None = None
) -> Tensor:
    """float32 [m, classes] on the CPU, the network in eval mode; [0, 0] of no images. ``tick`` is called after every batch.

    ``most``: images that go through the network at once; None: a whole batch of validation.
    """
    network.eval()
    logits = []
    for x in feed.validation_batches():
        logits.append(_logits(network, x, bf16, most))
        tick()
    return torch.cat(logits) if logits else torch.empty((0, 0))


@torch.no_grad()
def shared_validation_logits(
    network: nn.Module,
    feed: Feed,
    bf16: bool,
    group: Group,
    tick: Callable[[], None] = lambda: None,
    most: int | None = None,
) -> Tensor:
    """The same, of batches that several processes take turns with: all get the logits of all, to the bits of one process.

    ``tick`` is called equally often by all.
    """
    network.eval()
    own: list[Tensor] = []
    sizes: list[int] = []
    for number, x in enumerate(feed.validation_batches()):
        sizes.append(len(x))
        if number % group.size == group.rank:
            own.append(_logits(network, x, bf16, most))
        if number % group.size == group.size - 1:
            tick()
    if len(sizes) % group.size:
        tick()
    return _in_turns(own, sizes, group) if sizes else torch.empty((0, 0))


def _logits(network: nn.Module, x: Tensor, bf16: bool, most: int | None) -> Tensor:
    with torch.autocast(x.device.type, torch.bfloat16, enabled=bf16):
        return torch.cat([network(piece).float().cpu() for piece in torch.split(x, most or len(x))])


def _in_turns(own: list[Tensor], sizes: list[int], group: Group) -> Tensor:
    """[m, classes] of all batches, of these sizes, from each process's own: batch b is process b's, modulo their number."""
    width = max(int(each) for each in group.gathered(torch.tensor([own[0].shape[1] if own else 0])))
    padded = torch.zeros((-(-len(sizes) // group.size), max(sizes), width))
    for turn, logits in enumerate(own):
        padded[turn, : len(logits)] = logits
    told = group.gathered(padded)
    return torch.cat([told[b % group.size][b // group.size, :size] for b, size in enumerate(sizes)])


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
