"""The half of the backbone that computes, and how its weights were made: edges and colours, written down and not learned.

``python -m tlbatch_example.tiny`` writes ``tiny.safetensors`` beside this file; its sha256 is in plugin.py.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn

WIDTHS = (8, 16)


class Tiny(nn.Module):
    """Two convolutions: [n, 3, size, size] to [n, 16, size / 4, size / 4]."""

    def __init__(self) -> None:
        super().__init__()
        self.edges = nn.Sequential(nn.Conv2d(3, WIDTHS[0], 5, padding=2), nn.ReLU(), nn.MaxPool2d(2))
        self.corners = nn.Sequential(nn.Conv2d(WIDTHS[0], WIDTHS[1], 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.corners(self.edges(x))  # type: ignore[no-any-return]


def build() -> nn.Module:
    return Tiny()


def weights() -> dict[str, Tensor]:
    """First edges in eight directions of all colours alike; then each direction where it is, and where it meets the next."""
    places = torch.arange(-2.0, 3.0)
    filters = []
    for number in range(WIDTHS[0]):
        angle = 2 * math.pi * number / WIDTHS[0]
        along = places[None, :] * math.cos(angle) + places[:, None] * math.sin(angle)
        filters.append((along * torch.exp(-(places[None, :] ** 2 + places[:, None] ** 2) / 4)).expand(3, 5, 5))
    meet = torch.zeros(WIDTHS[1], WIDTHS[0], 3, 3)
    for number in range(WIDTHS[0]):
        meet[number, number] = 1 / 9
        meet[WIDTHS[0] + number, number], meet[WIDTHS[0] + number, (number + 1) % WIDTHS[0]] = 1 / 9, 1 / 9
    zeros = {"edges.0.bias": torch.zeros(WIDTHS[0]), "corners.0.bias": torch.zeros(WIDTHS[1])}
    return {"edges.0.weight": torch.stack(filters).contiguous(), "corners.0.weight": meet, **zeros}


if __name__ == "__main__":
    from safetensors.torch import save_file

    save_file(weights(), Path(__file__).with_name("tiny.safetensors"))
