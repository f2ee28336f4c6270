"""Noise for pictures that tests draw: the same whatever ran before in the process (Pillow's own draws from C's ``rand``)."""

from __future__ import annotations

import zlib

import numpy as np
from PIL import Image


def noise(name: str, size: tuple[int, int], sigma: float) -> Image.Image:
    """A grey picture [size] of normal noise around 128, clipped to 0 .. 255; ``name`` is its seed."""
    drawn = np.random.default_rng(zlib.crc32(name.encode())).normal(128.0, sigma, (size[1], size[0]))
    return Image.fromarray(np.clip(drawn, 0, 255).astype(np.uint8))
