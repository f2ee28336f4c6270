"""Pictures for people: what a network is fed, with a heat map on it, and maps as grids."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LARGEST, SMALLEST = 256, 128  #: pixels a side
QUALITY = 80
Bytes = NDArray[np.uint8]
Floats = NDArray[np.floating]

# Black to yellow through purple, even in lightness: five stops of matplotlib's "inferno" (CC0).
_STOPS = np.array([[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]], dtype=np.float64)


def heat(values: Floats) -> Bytes:
    """Colours [..., 3] of ``values`` in 0..1."""
    places = np.linspace(0.0, 1.0, len(_STOPS))
    channels = [np.interp(values, places, _STOPS[:, channel]) for channel in range(3)]
    return np.asarray(np.stack(channels, axis=-1).round(), dtype=np.uint8)


def as_fed(pixels: Bytes) -> Image.Image:
    """The picture [c, h, w] (1 or 3 channels) as the network is fed it, at a size to look at: tiny ones enlarged, no blur."""
    channels = np.repeat(pixels, 3, axis=0) if len(pixels) == 1 else pixels
    image = Image.fromarray(np.ascontiguousarray(channels.transpose(1, 2, 0)))
    side = max(image.size)
    if side > LARGEST:
        return image.resize(_scaled(image, LARGEST / side), Image.Resampling.LANCZOS)
    if side < SMALLEST:
        return image.resize(_scaled(image, math.ceil(SMALLEST / side)), Image.Resampling.NEAREST)
    return image


def _scaled(image: Image.Image, factor: float) -> tuple[int, int]:
    return max(1, round(image.width * factor)), max(1, round(image.height * factor))


def overlay(picture: Image.Image, cam: Floats) -> Image.Image:
    """The picture with ``cam`` [h, w] in 0..1 on it: opaque where it is high, the picture in grey where it is low."""
    values = np.asarray(Image.fromarray(cam.astype(np.float32)).resize(picture.size, Image.Resampling.BILINEAR)).clip(0, 1)
    grey = np.asarray(picture.convert("L").convert("RGB"), dtype=np.float64)
    share = 0.15 + 0.5 * values[..., None]
    return Image.fromarray(((1 - share) * grey + share * heat(values)).round().astype(np.uint8))


def jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def save_channel_grid(maps: Floats, path: Path, shown: int = 64) -> int:
    """PNG of the ``shown`` liveliest channels of ``maps`` [c, h, w], each stretched to its own range; returns their number."""
    liveliest = np.argsort(-maps.std(axis=(1, 2)), kind="stable")[:shown]
    maps = maps[np.sort(liveliest)]
    count = len(maps)
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    scale = max(1, round(56 / max(maps.shape[1:])))
    height, width, gap = maps.shape[1] * scale, maps.shape[2] * scale, 3
    grid = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), 255, dtype=np.uint8)
    for number in range(count):
        channel = maps[number].astype(np.float64)
        low, high = channel.min(), channel.max()
        tile = heat((channel - low) / (high - low) if high > low else np.zeros_like(channel))
        top, left = gap + number // columns * (height + gap), gap + number % columns * (width + gap)
        grid[top : top + height, left : left + width] = tile.repeat(scale, axis=0).repeat(scale, axis=1)
    Image.fromarray(grid).save(path, "PNG", optimize=True)
    return count
