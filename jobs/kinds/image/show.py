"""A picture small enough for a page, as a data URL."""

from __future__ import annotations

import base64
import io

from PIL import Image, ImageOps

TINY = 64  #: pictures smaller than this are enlarged without smoothing, so that an 8x8 digit is seen as it is
QUALITY = 72


def thumbnail_url(encoded: bytes, side: int) -> str:
    """An encoded picture as a small JPEG (or PNG, where it is tiny) data URL."""
    with Image.open(io.BytesIO(encoded)) as opened:
        image = ImageOps.exif_transpose(opened).convert("RGB")
    buffer = io.BytesIO()
    if max(image.size) < TINY:
        factor = max(1, side // max(image.size))
        image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
        image.quantize(64).save(buffer, "PNG", optimize=True)
        return data_url(buffer.getvalue(), "image/png")
    image.thumbnail((side, side))
    image.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return data_url(buffer.getvalue(), "image/jpeg")


def drawing_url(content: bytes) -> str:
    """An SVG file as it is; a page shows it in an ``<img>``, where none of its scripts run."""
    return data_url(content, "image/svg+xml")


def data_url(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
