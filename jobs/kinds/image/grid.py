"""A picture of the dataset: some images of each class, with its name and count."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont, ImageOps

TILE, GAP, COLUMNS, TEXT = 112, 4, 8, 22  # pixels, but for COLUMNS
MOST_CLASSES, MOST_TILES = 24, 48
QUALITY = 85


def draw_grid(
    classes: Sequence[str], counts: Mapping[str, int], names: Mapping[str, Sequence[str]], read: Callable[[str], bytes]
) -> bytes:
    """A JPEG file. ``names``: class to the ids of its pictures in the order wanted; ``read(id)``: an encoded picture."""
    shown = list(classes)[:MOST_CLASSES]
    each = max(4, min(2 * COLUMNS, MOST_TILES // max(1, len(shown))))
    rows = {name: -(-min(each, len(names.get(name, ()))) // COLUMNS) for name in shown}
    more = len(classes) - len(shown)
    height = sum(TEXT + count * (TILE + GAP) for count in rows.values()) + (TEXT if more else 0) + GAP
    sheet = Image.new("RGB", (COLUMNS * (TILE + GAP) + GAP, height), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    y = GAP
    for name in shown:
        draw.text((GAP, y), f"{name}: {counts.get(name, 0):,}", fill="black", font=font)
        y += TEXT
        for place, picture in enumerate(names.get(name, ())[:each]):
            x = GAP + place % COLUMNS * (TILE + GAP)
            sheet.paste(_tile(read(picture)), (x, y + place // COLUMNS * (TILE + GAP)))
        y += rows[name] * (TILE + GAP)
    if more:
        draw.text((GAP, y), f"and {more:,} more classes", fill="black", font=font)
    target = io.BytesIO()
    sheet.save(target, "JPEG", quality=QUALITY)
    return target.getvalue()


def _tile(encoded: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(encoded)).convert("RGB")
    return ImageOps.fit(image, (TILE, TILE), Image.Resampling.BILINEAR)
