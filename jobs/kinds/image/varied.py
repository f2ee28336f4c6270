"""Training images as they are varied, for people to look at."""

from __future__ import annotations

import io
from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

GAP = 4
SMALLEST, LARGEST = 64, 128  # pixels a side of a tile


def draw_sheet(rows: Sequence[Sequence[Tensor]]) -> bytes:
    """A JPEG grid of pixels [c, h, w] in 0..255, all of one size."""
    tiles = [[_tile(pixels) for pixels in row] for row in rows]
    width, height = tiles[0][0].size
    grid = Image.new("RGB", (len(tiles[0]) * (width + GAP) - GAP, len(tiles) * (height + GAP) - GAP), "white")
    for row, line in enumerate(tiles):
        for column, tile in enumerate(line):
            grid.paste(tile, (column * (width + GAP), row * (height + GAP)))
    buffer = io.BytesIO()
    grid.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def _tile(pixels: Tensor) -> Image.Image:
    """[c, h, w] in 0..255 as a picture of a handy size; few pixels stay squares."""
    pixels = pixels.float().round().clamp(0, 255).to(torch.uint8).cpu().expand(3, -1, -1)
    picture = Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
    longest = max(picture.size)
    if SMALLEST <= longest <= LARGEST:
        return picture
    scale = LARGEST / longest if longest > LARGEST else -(-SMALLEST // longest)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.BICUBIC if scale < 1 else Image.Resampling.NEAREST)
