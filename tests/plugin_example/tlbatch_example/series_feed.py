"""Series into networks: cut or filled up to one length, standardised; random noise; convolutions along them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from jobs.kinds.feed import Explained, Normalise, Usage
from jobs.models.network import Network
from tlbatch.kinds.entry import ResolvedInput
from tlbatch_example.series import draw, read_values


class SeriesFeed:
    """Items are float32 [1, length]."""

    suffix = "svg"
    overlay = ""

    def load(self, stored: bytes, settings: ResolvedInput) -> Tensor:
        values = torch.from_numpy(read_values(stored))[: settings["length"]]
        return functional.pad(values, (0, settings["length"] - len(values)))[None]

    def normaliser(self, settings: ResolvedInput) -> Normalise:
        """Each series to mean 0 and standard deviation 1."""

        def normalise(items: Tensor) -> Tensor:
            items = items.float()
            spread = items.std(dim=-1, keepdim=True, correction=0)
            return (items - items.mean(dim=-1, keepdim=True)) / spread.clamp(min=1e-6)

        return normalise

    def vary(self, items: Tensor, augmentation: Mapping[str, Any], chance: torch.Generator) -> Tensor:
        return items

    def explain(
        self, network: Network | None, items: Tensor, normalise: Normalise, predicted: Tensor, device: torch.device
    ) -> Sequence[Explained]:
        return [Explained(draw(item[0].numpy(), 160)) for item in items]

    def feature_map(
        self, network: Network, item: Tensor, normalise: Normalise, path: Path, device: torch.device
    ) -> dict[str, Any] | None:
        return None

    def usage(self, settings: ResolvedInput) -> Usage:
        words = f"The first {settings['length']} values, zeros after a shorter series; the model standardises each."
        return Usage(dict(settings), words, "`items` float32 [series, 1, length]", "series")

    def varied_sheet(self, rows: Sequence[Sequence[Tensor]]) -> bytes | None:
        return None


FEED = SeriesFeed()


def jitter(items: Tensor, settings: Mapping[str, Any], chance: torch.Generator) -> Tensor:
    """Normal noise, ``sd`` times each series' own standard deviation."""
    noise = torch.randn(items.shape, generator=chance).to(items.device, items.dtype)
    return items + settings["sd"] * items.std(dim=-1, keepdim=True, correction=0) * noise


def convolutions(shape: tuple[int, ...], settings: Mapping[str, Any]) -> nn.Module:
    """Convolution, ReLU and pooling along the series for each of ``channels``, then the mean over it."""
    layers: list[nn.Module] = []
    before = shape[0]
    for channels in settings["channels"]:
        layers += [nn.Conv1d(before, channels, settings["kernel"], padding="same"), nn.ReLU(), nn.MaxPool1d(2)]
        before = channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten())
