"""Pictures into networks (jobs.kinds.feed.Feed): pixels, augmentation, and where a network looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from jobs.kinds.feed import Explained, Normalise, Usage
from jobs.kinds.image.augmentation import apply, draw
from jobs.kinds.image.flips import flips
from jobs.kinds.image.gradcam import grad_cam
from jobs.kinds.image.pictures import as_fed, jpeg, overlay, save_channel_grid
from jobs.kinds.image.pixels import load_pixels, normaliser
from jobs.kinds.image.usage import usage
from jobs.kinds.image.varied import draw_sheet
from jobs.kinds.looks import Looks
from jobs.models.network import Network
from tlbatch.kinds.entry import ResolvedInput


class ImageFeed:
    """Items are uint8 [c, size, size], 0..255."""

    suffix = "jpg"
    overlay = "Grad-CAM"

    def load(self, stored: bytes, settings: ResolvedInput) -> Tensor:
        return load_pixels(stored, settings)

    def normaliser(self, settings: ResolvedInput) -> Normalise:
        return normaliser(settings)

    def vary(self, items: Tensor, augmentation: Mapping[str, Any], chance: torch.Generator) -> Tensor:
        height, width = items.shape[2:]
        return apply(items, draw(augmentation, len(items), chance, (height, width)))

    def vary_rows(self, items: Tensor, augmentation: Mapping[str, Any], chance: torch.Generator, n: int, rows: slice) -> Tensor:
        """``items``: these rows of a batch of ``n``, changed as in ``vary`` of all of it."""
        height, width = items.shape[2:]
        return apply(items, draw(augmentation, n, chance, (height, width))[rows])

    def looks(self, augmentation: Mapping[str, Any]) -> Looks | None:
        """Where pictures are mirrored, and nothing else."""
        return flips(augmentation)

    def explain(
        self, network: Network | None, items: Tensor, normalise: Normalise, predicted: Tensor, device: torch.device
    ) -> Sequence[Explained]:
        cams = None
        if network is not None:
            cams = grad_cam(network, normalise(items.to(device)), predicted.to(device))
        pictures = [as_fed(pixels.numpy()) for pixels in items]
        if cams is None:
            return [Explained(jpeg(picture)) for picture in pictures]
        return [
            Explained(jpeg(picture), jpeg(overlay(picture, cam.numpy()))) for picture, cam in zip(pictures, cams, strict=True)
        ]

    def feature_map(
        self, network: Network, item: Tensor, normalise: Normalise, path: Path, device: torch.device
    ) -> dict[str, Any] | None:
        maps = network.backbone.maps(normalise(item[None].to(device)))
        if maps is None:
            return None
        channels = save_channel_grid(maps[0].float().cpu().numpy(), path)
        return {"shape": list(maps.shape[1:]), "shown": channels}

    def usage(self, settings: ResolvedInput) -> Usage:
        return usage(settings)

    def varied_sheet(self, rows: Sequence[Sequence[Tensor]]) -> bytes:
        return draw_sheet(rows)


FEED = ImageFeed()
