"""Colour histogram and HOG as a network without weights: what a picture shows before anything was learned from others.

The histogram counts hue, saturation and value jointly; its square roots are taken, so that distances are Hellinger's. HOG:
Dalal and Triggs (2005), by scikit-image. Each image is computed on its own, so neither batch nor shard changes a bit.
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from jobs.models.network import Backbone
from jobs.models.stages import divide
from tlbatch.backbones.handcrafted import BLOCK, CELL, COLOURS, HAND_CRAFTED, ORIENTATIONS, feature_count


class HandCrafted(nn.Module):
    """[n, 3, size, size] RGB in [0, 1] to features [n, d] in float32, on the CPU whatever the device."""

    def forward(self, x: Tensor) -> Tensor:
        if x.is_meta:
            return torch.empty((len(x), feature_count(x.shape[-1])), device=x.device)
        images = x.detach().float().cpu().permute(0, 2, 3, 1).numpy()
        return torch.from_numpy(np.stack([_described(image) for image in images])).to(x.device)


def hand_crafted_backbone(size: int) -> Backbone:
    """A backbone of one stage with nothing to learn."""
    division = divide({"features": ("features",)}, {"features": "features"}, "features")
    layer = division.layer(None)
    assert layer is not None
    body = nn.Sequential(OrderedDict(features=HandCrafted()))
    return Backbone(body, division, layer, "avg", fed=(3, size, size), architecture={"backbone": HAND_CRAFTED})


def _described(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """[size, size, 3] in [0, 1] to [d]."""
    from skimage.feature import hog

    gradients = hog(
        image.astype(np.float64),
        orientations=ORIENTATIONS,
        pixels_per_cell=(CELL, CELL),
        cells_per_block=(BLOCK, BLOCK),
        block_norm="L2-Hys",
        channel_axis=-1,
    )
    return np.concatenate([_colours(image), gradients]).astype(np.float32)


def _colours(image: NDArray[np.float32]) -> NDArray[np.float64]:
    """Square roots of the shares of pixels in each bin of hue, saturation and value."""
    from skimage.color import rgb2hsv

    values = rgb2hsv(np.clip(image.astype(np.float64), 0.0, 1.0)).reshape(-1, 3)
    counts, _ = np.histogramdd(values, bins=COLOURS, range=((0.0, 1.0),) * 3)
    return np.asarray(np.sqrt(counts.ravel() / len(values)))
