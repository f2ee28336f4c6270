"""An augmentation that mirrors pictures and does nothing else: the two or four looks that a picture then has."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from jobs.kinds.image.augmentation import draw
from jobs.kinds.looks import Looks

AXES = {"none": (), "horizontal": (3,), "vertical": (2,), "both": (3, 2)}
"""By the setting ``flip``: axes of [n, c, h, w]."""
IDLE = frozenset({"flip", "fill", "shear_unit"})
"""Settings that change no pixel: the flip, and those that say how others are to be understood."""


def flips(augmentation: Mapping[str, Any]) -> Looks | None:
    """None where an image may be changed otherwise. Of look k bit i says whether axis ``AXES[flip][i]`` is mirrored."""
    if any(value for name, value in augmentation.items() if name not in IDLE):
        return None
    axes = AXES[augmentation.get("flip") or "none"]
    return Looks(2 ** len(axes), partial(_drawn, augmentation), partial(_shown, axes))


def _drawn(augmentation: Mapping[str, Any], n: int, chance: torch.Generator) -> Tensor:
    drawn = draw(augmentation, n, chance, 1)  # of flips alone: the size does not matter
    mirrored = {3: drawn.flip_horizontal, 2: drawn.flip_vertical}
    axes = AXES[augmentation.get("flip") or "none"]
    return sum((mirrored[axis].long() << bit for bit, axis in enumerate(axes)), torch.zeros(n, dtype=torch.int64))


def _shown(axes: tuple[int, ...], items: Tensor, look: int) -> Tensor:
    mirrored = [axis for bit, axis in enumerate(axes) if look >> bit & 1]
    return items.flip(mirrored) if mirrored else items
