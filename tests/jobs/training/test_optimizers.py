"""Optimisers as the recipes have them, each stage's share of the rate, and what they do faster than torch's plain ones."""

from __future__ import annotations

import math
import platform
import subprocess
import sys
from collections.abc import Callable
from typing import Literal

import pytest
import torch
from torch.nn import Parameter
from torch.optim import Optimizer

from jobs.training.optimizers import build_optimizer, set_lr
from tests.requirements import missing
from tlbatch.spec.train import Train


def _step(train: Train, gradients: list[float], lr: float, scale: float = 1.0) -> float:
    weight = Parameter(torch.tensor([1.0], dtype=torch.float64))
    optimizer = build_optimizer(train, [("empty", [], 1.0), ("all", [weight], scale)])
    for gradient in gradients:
        set_lr(optimizer, lr)
        weight.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
    return weight.item()


def test_rmsprop_is_that_of_keras() -> None:
    weight, average = 1.0, 0.0
    for gradient in (0.5, -0.2, 3.0):
        average = 0.9 * average + 0.1 * gradient**2
        weight -= 0.01 * gradient / (math.sqrt(average) + 1e-7)
    assert _step(Train(optimizer="rmsprop"), [0.5, -0.2, 3.0], 0.01) == pytest.approx(weight, abs=1e-12)


def test_first_steps_of_the_others() -> None:
    assert _step(Train(optimizer="sgd"), [0.5, 0.5], 0.1) == pytest.approx(1 - 0.05 - 0.1 * (0.45 + 0.5))
    assert _step(Train(optimizer="adam"), [0.5], 0.1) == pytest.approx(0.9, abs=1e-6)
    assert _step(Train(optimizer="adamw", weight_decay=0.1), [0.5], 0.1) == pytest.approx(0.99 - 0.1, abs=1e-6)


def test_a_stage_has_its_share_of_the_rate() -> None:
    assert _step(Train(optimizer="sgd", momentum=0.0), [1.0], 0.1, scale=0.5) == pytest.approx(0.95)


PLAIN: dict[str, Callable[[list[Parameter], Train], Optimizer]] = {
    "rmsprop": lambda p, train: torch.optim.RMSprop(p, alpha=train.rho, eps=train.eps, weight_decay=train.weight_decay),
    "sgd": lambda p, train: torch.optim.SGD(p, momentum=train.momentum, weight_decay=train.weight_decay),
    "adam": lambda p, train: torch.optim.Adam(p, eps=train.eps, weight_decay=train.weight_decay),
    "adamw": lambda p, train: torch.optim.AdamW(p, eps=train.eps, weight_decay=train.weight_decay),
}


def gradients(steps: int) -> list[torch.Tensor]:
    """A third of the weights never gets one, a third only at first: what a dead ReLU leaves."""
    made = torch.Generator().manual_seed(1)
    found = torch.randn((steps, 300), generator=made) * torch.logspace(-9, 0, 300)
    found[:, :100] = 0
    found[5:, 100:200] = 0
    return list(found)


def stepped(optimizer: Optimizer, weights: Parameter, given: list[torch.Tensor]) -> torch.Tensor:
    for gradient in given:
        set_lr(optimizer, 1e-3)
        weights.grad = gradient.clone()
        optimizer.step()
    return weights.detach()


@pytest.mark.parametrize("eps", [1e-7, 1e-3])
@pytest.mark.parametrize("name", PLAIN)
def test_weights_are_those_of_the_plain_optimiser(name: Literal["rmsprop", "sgd", "adam", "adamw"], eps: float) -> None:
    train = Train(optimizer=name, eps=eps, weight_decay=0.0 if name == "rmsprop" else 0.01)
    ours, theirs = (Parameter(torch.linspace(-1, 1, 300)) for _ in range(2))
    plain = PLAIN[name]([theirs], train)
    for group in plain.param_groups:
        group["scale"] = 1.0
    fast = stepped(build_optimizer(train, [("head", [ours], 1.0)]), ours, gradients(1500))
    slow = stepped(plain, theirs, gradients(1500))
    if name == "rmsprop":
        assert torch.equal(fast, slow)
    torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-6)


def test_rmsprop_takes_no_roots_of_zeros() -> None:
    """Nor of what zero is made of on the way there: numbers below the smallest normal one, which are as slow."""
    weights = Parameter(torch.linspace(-1, 1, 300))
    optimizer = build_optimizer(Train(optimizer="rmsprop"), [("head", [weights], 1.0)])
    stepped(optimizer, weights, gradients(1500))
    assert optimizer.state[weights]["square_avg"].min() >= torch.finfo(torch.float32).tiny


FAULTS = """
import resource, torch
from jobs.training.computing import choose_device
{prepare}
for _ in range(20):
    torch.ones(10_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(40):
    torch.ones(10_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_memory_that_tensors_free_is_kept_for_the_next() -> None:
    """Forty tensors of 40 MB, one after the other: 390,000 pages are asked for, or none once the heap has found its shape."""
    if platform.libc_ver()[0] != "glibc":
        missing("glibc", "keeping memory is glibc's: run this on a Linux that has it (Debian, Ubuntu, Fedora)")
    found = []
    for prepare in ("", "choose_device(1)"):
        command = [sys.executable, "-c", FAULTS.format(prepare=prepare)]
        found.append(int(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    assert 2 * found[1] < found[0] > 300_000
