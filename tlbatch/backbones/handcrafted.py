"""Hand-crafted features under a backbone's name: colour and gradients, which nobody had to pretrain.

jobs.models.handcrafted computes them. They take a backbone's way through extract, finetune and evaluate.
"""

from __future__ import annotations

from typing import Any

from tlbatch.backbones.preprocessing import SCRATCH_INPUT

HAND_CRAFTED = "colour-and-hog"
HAND_CRAFTED_SIZE = 64
HAND_CRAFTED_INPUT: dict[str, Any] = {**SCRATCH_INPUT, "size": HAND_CRAFTED_SIZE}
"""Whole images in [0, 1]."""
COLOURS = (8, 4, 4)
"""Bins of hue, saturation and value."""
ORIENTATIONS, CELL, BLOCK = 9, 8, 2
"""HOG (Dalal and Triggs 2005): orientations of gradients in cells of 8x8 pixels, normalised in blocks of 2x2 cells."""


def feature_count(size: int = HAND_CRAFTED_SIZE) -> int:
    """Values an image."""
    blocks = size // CELL - BLOCK + 1
    return COLOURS[0] * COLOURS[1] * COLOURS[2] + blocks**2 * BLOCK**2 * ORIENTATIONS
