"""Training images as they are varied, for people to look at."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from jobs.training.images import ImageFeed

IMAGES, VARIANTS, GAP = 4, 5, 4
SMALLEST, LARGEST = 64, 128  # pixels a side of a tile


def write_augmented(feed: ImageFeed, path: Path) -> None:
    """A JPEG grid: a row for each of four training images spread over the part, plain first, then as five epochs have it."""
    n = len(feed.train_labels)
    chosen = torch.arange(0, n, max(1, n // IMAGES))[:IMAGES]
    columns = [feed.plain(chosen), *(feed.varied(chosen, epoch, 0) for epoch in range(VARIANTS))]
    tiles = [[_tile(column[row]) for column in columns] for row in range(len(chosen))]
    width, height = tiles[0][0].size
    grid = Image.new("RGB", (len(columns) * (width + GAP) - GAP, len(tiles) * (height + GAP) - GAP), "white")
    for row, line in enumerate(tiles):
        for column, tile in enumerate(line):
            grid.paste(tile, (column * (width + GAP), row * (height + GAP)))
    grid.save(path, "JPEG", quality=85)


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
