"""The halves of the network and the head that compute."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def mlp(shape: tuple[int, ...], settings: Mapping[str, Any]) -> nn.Module:
    """Dense layers on all the values of an item, whatever its shape."""
    layers: list[nn.Module] = [nn.Flatten()]
    values = math.prod(shape)
    for units in settings["units"]:
        layers += [nn.Linear(values, units), nn.ReLU()]
        values = units
    return nn.Sequential(*layers)


class Cosine(nn.Module):
    """Logits are ``scale`` times the cosine of features and a learned direction a class (Gidaris and Komodakis 2018)."""

    def __init__(self, features: int, classes: int, scale: float) -> None:
        super().__init__()
        self.directions = nn.Parameter(torch.randn(classes, features) / math.sqrt(features))
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """[n, features] to [n, classes]."""
        return self.scale * functional.linear(functional.normalize(x, dim=1), functional.normalize(self.directions, dim=1))


def cosine(features: int, classes: int, settings: Mapping[str, Any]) -> nn.Module:
    return Cosine(features, classes, settings["scale"])
