"""What the training loop costs beside the computing: many small trainings make up a study of few labels."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import torch
from torch import nn

from jobs.models.building import build_network
from jobs.training.items import ItemFeed
from jobs.training.trainer import Recipe, Trainer
from tlbatch.backbones.preprocessing import SCRATCH_INPUT
from tlbatch.spec.train import Train

EPOCHS, BATCH, TRAIN, VALIDATION = 30, 10, 50, 200
SCRATCH = {"channels": [32, 64], "kernel": 3, "padding": "same", "batch_norm": False, "dense": [64], "dropout": 0.0}


def _network() -> nn.Module:
    model, fed = {"scratch": SCRATCH}, {"size": 8, "grayscale": True}
    network = build_network(model, fed, 10, None, seed=0, init="glorot")
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _pixels(n: int) -> torch.Tensor:
    return torch.randint(0, 256, (n, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(n))


def _trained_here() -> None:
    labels = torch.arange(TRAIN) % 10, torch.arange(VALIDATION) % 10
    feed = ItemFeed(
        _pixels(TRAIN),
        labels[0],
        _pixels(VALIDATION),
        labels[1],
        settings={**SCRATCH_INPUT, "size": 8, "grayscale": True},
        augmentation=None,
        seed=0,
        device=torch.device("cpu"),
    )
    train = Train(epochs=EPOCHS, batch_size=BATCH)
    Trainer(_network(), feed, Recipe(train, [str(i) for i in range(10)], 0, 1e-3)).run()


def _trained_plainly() -> None:
    """The least one would write: no order, no checkpoints, no records."""
    network, x, y = _network().train(), _pixels(TRAIN).float() / 255, torch.arange(TRAIN) % 10
    held = _pixels(VALIDATION).float() / 255
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    for _ in range(EPOCHS):
        for start in range(0, TRAIN, BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(x[start : start + BATCH]), y[start : start + BATCH]).backward()
            optimizer.step()
        with torch.no_grad():
            for start in range(0, VALIDATION, 64):
                network(held[start : start + 64])


def _seconds(train: Callable[[], None]) -> float:
    """Of this process's own computing, the best of three: others' load does not count."""
    best = float("inf")
    for _ in range(3):
        started = time.process_time()
        train()
        best = min(best, time.process_time() - started)
    return best


@pytest.mark.bench
def test_small_trainings_cost_little_more_than_the_barest_loop() -> None:
    torch.set_num_threads(1)
    _trained_plainly()
    plain, here = _seconds(_trained_plainly), _seconds(_trained_here)
    print(f"{here / plain:.2f} times a bare loop: {here * 1e3 / EPOCHS:.1f} ms an epoch")
    assert here < 2 * plain
