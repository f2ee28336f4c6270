"""What is trained on a backbone's features: dense layers and a classifier, or the classifier alone."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from torch import nn

from jobs.models.added import added_head
from jobs.models.fitted_heads import FITTED_HEADS
from jobs.models.initial import initialise
from tlbatch.spec.added import added_name


def build_head(dim: int, n_classes: int, head: Mapping[str, Any], *, seed: int, init: str) -> nn.Module:
    """``head`` as in a study (tlbatch.spec.model.Head), or a plug-in's: features [n, dim] to logits [n, n_classes].

    Parts dense1, norm1, relu1, dropout1, …, ``classifier`` last; a logistic head is the classifier alone. Class means,
    nearest neighbours and votes are layers of their own (jobs.models.fitted_heads).
    """
    if added_name(head) is not None:
        added = added_head(dim, n_classes, head, seed)
        initialise(added, seed=seed, init=init, prefix="head.")
        return added
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    if fitted := next((name for name in FITTED_HEADS if head.get(name) is not None), None):
        return FITTED_HEADS[fitted](dim, n_classes, head[fitted])
    dense = [] if head.get("logistic") else list(head.get("dense", ()))
    dropout = 0.0 if head.get("logistic") else float(head.get("dropout", 0.0))
    for number, wide in enumerate(dense, start=1):
        parts[f"dense{number}"] = nn.Linear(dim, wide)
        if head.get("batch_norm"):
            parts[f"norm{number}"] = nn.BatchNorm1d(wide)
        parts[f"relu{number}"] = nn.ReLU(inplace=True)
        if dropout:
            parts[f"dropout{number}"] = nn.Dropout(dropout)
        dim = wide
    if dropout and not dense:
        parts["dropout"] = nn.Dropout(dropout)
    parts["classifier"] = nn.Linear(dim, n_classes)
    built = nn.Sequential(parts)
    initialise(built, seed=seed, init=init, prefix="head.")
    return built
