"""The optimisers of a study, with one parameter group a stage. Fused ones step in one pass over weights and moments."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
import torch._dynamo  # what the first optimiser imports anyhow, and takes seconds for: a warm process pays it once
from torch.nn import Parameter
from torch.optim import Optimizer

from tlbatch.spec.train import Train

Groups = list[dict[str, object]]
FLOOR = 1e-37
"""Of RMSprop's mean squares on a CPU: still a normal number after a step's decay, and next to ``eps`` (1e-7) nothing."""
SMALLEST_EPS = 1e-10


def _rmsprop(groups: Groups, train: Train) -> Optimizer:
    """rho is torch's alpha (Keras: 0.9, torch by default: 0.99). Not centred, no momentum, as Keras has it."""
    optimizer = torch.optim.RMSprop(groups, lr=1.0, alpha=train.rho, eps=train.eps, weight_decay=train.weight_decay)
    if train.eps >= SMALLEST_EPS:
        optimizer.register_step_pre_hook(_lift_zeros)
    return optimizer


def _lift_zeros(optimizer: Optimizer, *_: object) -> None:
    """Weights that get no gradient (of dead ReLUs) have mean squares of zero, whose roots take MKL nine times as long."""
    for state in optimizer.state.values():
        if (squares := state["square_avg"]).device.type == "cpu":
            squares.clamp_min_(FLOOR)


def _sgd(groups: Groups, train: Train) -> Optimizer:
    return torch.optim.SGD(groups, lr=1.0, momentum=train.momentum, weight_decay=train.weight_decay, fused=True)


def _adam(groups: Groups, train: Train) -> Optimizer:
    return torch.optim.Adam(groups, lr=1.0, eps=train.eps, weight_decay=train.weight_decay, fused=True)


def _adamw(groups: Groups, train: Train) -> Optimizer:
    return torch.optim.AdamW(groups, lr=1.0, eps=train.eps, weight_decay=train.weight_decay, fused=True)


OPTIMIZERS: dict[str, Callable[[Groups, Train], Optimizer]] = {
    "rmsprop": _rmsprop,
    "sgd": _sgd,
    "adam": _adam,
    "adamw": _adamw,
}


def build_optimizer(train: Train, stages: Iterable[tuple[str, list[Parameter], float]]) -> Optimizer:
    """An optimiser over (stage, parameters, factor on the learning rate); stages without parameters are left out."""
    groups: Groups = [{"params": list(p), "stage": name, "scale": scale} for name, p, scale in stages if p]
    return OPTIMIZERS[train.optimizer](groups, train)


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """Give every group its share of the base rate."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["scale"]
