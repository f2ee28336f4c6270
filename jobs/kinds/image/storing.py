"""What is stored of a picture: the original file where that will do, else the picture at the stored size, encoded anew."""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image

from jobs.kinds.image.decode import Picture

JPEG_QUALITY = 95
SMALL_PIXELS = 65_536
"""Pictures of lossless files up to this many pixels stay lossless."""
LONGEST_JPEG_SIDE = 65_500


@dataclass(frozen=True)
class Stored:
    """An encoded image: ``format`` jpg or png, width and height in pixels; ``original``: the file's own bytes."""

    encoded: bytes
    format: str
    width: int
    height: int
    original: bool


def encode_stored(picture: Picture, data: bytes, stored_size: int) -> Stored:
    """The stored form of a picture decoded from ``data``; its shorter side has at most ``stored_size`` pixels. Pure."""
    image = picture.image
    fits = min(image.size) <= stored_size
    if fits and picture.plain:
        return Stored(data, "jpg" if picture.format == "JPEG" else "png", *image.size, original=True)
    lossless = fits and picture.lossless and image.width * image.height <= SMALL_PIXELS
    scaled = image if fits else _scaled(image, stored_size)
    kind = "png" if lossless or max(scaled.size) > LONGEST_JPEG_SIDE else "jpg"
    return Stored(_encoded(scaled, kind), kind, *scaled.size, original=False)


def _scaled(image: Image.Image, shorter_side: int) -> Image.Image:
    """Aspect kept, antialiased."""
    shorter = min(image.size)
    width, height = (max(1, round(side * shorter_side / shorter)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)


def _encoded(image: Image.Image, kind: str) -> bytes:
    target = io.BytesIO()
    if kind == "png":
        image.save(target, "PNG")
    else:
        image.save(target, "JPEG", quality=JPEG_QUALITY)
    return target.getvalue()
