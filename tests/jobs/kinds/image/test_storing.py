"""What is stored: the file itself where that will do, else the picture at the stored size."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jobs.kinds.image.decode import decoded
from jobs.kinds.image.storing import Stored, encode_stored


def smooth(width: int, height: int) -> Image.Image:
    levels = np.random.default_rng(0).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(levels).resize((width, height), Image.Resampling.BICUBIC)


def stored(image: Image.Image, kind: str, size: int = 100, **settings: Any) -> tuple[bytes, Stored]:
    target = io.BytesIO()
    image.save(target, kind, **settings)
    with decoded(target.getvalue()) as picture:
        return target.getvalue(), encode_stored(picture, target.getvalue(), size)


def opened(kept: Stored) -> Image.Image:
    image = Image.open(io.BytesIO(kept.encoded))
    assert image.size == (kept.width, kept.height)
    assert image.format == {"jpg": "JPEG", "png": "PNG"}[kept.format]
    return image


@pytest.mark.parametrize(("kind", "format"), [("JPEG", "jpg"), ("PNG", "png")])
@pytest.mark.parametrize("size", [(100, 300), (80, 90)])
def test_the_original_bytes_where_they_will_do(kind, format, size):
    data, kept = stored(smooth(*size), kind)
    assert kept == Stored(data, format, *size, original=True)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_scaled_to_the_shorter_side_with_its_aspect(kind):
    image = smooth(300, 200)
    _, kept = stored(image, kind)
    assert (kept.width, kept.height, kept.format, kept.original) == (150, 100, "jpg", False)
    difference = np.asarray(opened(kept)).astype(int) - np.asarray(image.resize((150, 100), Image.Resampling.LANCZOS))
    assert np.abs(difference).mean() < 4


def test_what_is_rotated_is_stored_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    image = smooth(90, 60)
    _, kept = stored(image, "JPEG", exif=exif, quality=95)
    assert (kept.width, kept.height, kept.format, kept.original) == (60, 90, "jpg", False)
    assert opened(kept).getexif().get(0x0112, 1) == 1
    difference = np.asarray(opened(kept)).astype(int) - np.asarray(image.rotate(-90, expand=True))
    assert np.abs(difference).mean() < 4


def test_small_lossless_pictures_stay_lossless():
    levels = np.random.default_rng(0).integers(0, 255, (90, 60, 3), dtype=np.uint8)
    for kind in ("BMP", "TIFF", "PPM"):
        _, kept = stored(Image.fromarray(levels), kind)
        assert (kept.format, kept.original) == ("png", False)
        assert np.array_equal(np.asarray(opened(kept)), levels)
    _, kept = stored(Image.fromarray(levels).resize((600, 90)), "BMP", 600)
    assert kept.format == "png"
    _, kept = stored(Image.fromarray(levels).resize((600, 400)), "BMP", 600)
    assert kept.format == "jpg"


def test_stored_pictures_are_rgb():
    for mode in ("CMYK", "L"):
        _, kept = stored(smooth(300, 200).convert(mode), "JPEG")
        assert opened(kept).mode == "RGB"


def test_a_strip_longer_than_a_jpeg_can_be():
    _, kept = stored(Image.new("RGB", (66_000, 8)), "TIFF", 4)
    assert (kept.width, kept.height) == (33_000, 4)
    _, kept = stored(Image.new("RGBA", (66_000, 2), "red"), "PNG", 4)
    assert (kept.format, kept.width) == ("png", 66_000)
    assert opened(kept).mode == "RGB"
