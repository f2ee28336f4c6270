"""Heads that are fitted at once, as layers: what jobs.heads' prototypes, neighbours and voted found, in float32."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from jobs.heads.neighbours import CLOSENESS
from jobs.heads.prototypes import TINY


class ClassMeansHead(nn.Module):
    """Features [n, d] to ``scale`` times their cosine to ``means`` [classes, d]."""

    def __init__(self, dim: int, n_classes: int, settings: Mapping[str, Any]) -> None:
        super().__init__()
        self.scale = float(settings["scale"])
        self.means = nn.Parameter(torch.zeros(n_classes, dim), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * (functional.normalize(x, dim=1, eps=TINY) @ self.means.T)


class NeighboursHead(nn.Module):
    """Features [n, d] to log shares of votes by the nearest of ``items`` [m, d], which are of ``classes`` [m, n_classes].

    ``votes`` [k]: what a neighbour counts, the nearest first; its length is k. All are as large as what was fitted
    (``make_room``).
    """

    def __init__(self, dim: int, n_classes: int, settings: Mapping[str, Any]) -> None:
        super().__init__()
        self.items = nn.Parameter(torch.zeros(1, dim), requires_grad=False)
        self.classes = nn.Parameter(torch.zeros(1, n_classes), requires_grad=False)
        self.votes = nn.Parameter(torch.zeros(1), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        k, n_classes = self.votes.shape[0], self.classes.shape[1]
        cosines, places = (functional.normalize(x, dim=1, eps=TINY) @ self.items.T).topk(k, dim=1)
        weights = self.votes + CLOSENESS / k * (cosines + 1) / 2
        votes = (self.classes[places] * weights[:, :, None]).sum(dim=1)
        return torch.log((votes + 1 / n_classes) / (k + 1))


class VotesHead(nn.Module):
    """Features [n, d] to log shares of the ``votes`` [h] of h linear layers, ``weight`` [h, classes, d], ``bias`` [h, classes].

    All are as large as what was fitted (``make_room``).
    """

    def __init__(self, dim: int, n_classes: int, settings: Mapping[str, Any]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, n_classes, dim), requires_grad=False)
        self.bias = nn.Parameter(torch.zeros(1, n_classes), requires_grad=False)
        self.votes = nn.Parameter(torch.zeros(1), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        h, n_classes = self.bias.shape
        said = (torch.einsum("nd,hkd->nhk", x, self.weight) + self.bias).argmax(dim=2)
        won = (said[:, :, None] == torch.arange(n_classes, device=x.device)).to(x.dtype)
        shares = (won * self.votes[:, None]).sum(dim=1) / self.votes.sum()
        return torch.log((h * shares + 1 / n_classes) / (h + 1))


FITTED_HEADS: dict[str, Callable[[int, int, Mapping[str, Any]], nn.Module]] = {
    "prototypes": ClassMeansHead,
    "knn": NeighboursHead,
    "votes": VotesHead,
}
"""By the name that a card has of them. No study asks for ``votes``: they are what a logistic head becomes by boosting."""


def make_room(head: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Before ``state`` is loaded: a head that keeps images, or votes, is as large as these are many. Others stay."""
    if isinstance(head, NeighboursHead | VotesHead):
        for name, _ in list(head.named_parameters()):
            room = cast(Tensor, getattr(head, name)).new_zeros((len(state[name]), *getattr(head, name).shape[1:]))
            setattr(head, name, nn.Parameter(room, requires_grad=False))
