"""Files of every kind: decoded right, or refused with the reason in words."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jobs.kinds.image.decode import BadItemError, Picture, content_id, decoded


def encoded(image: Image.Image, kind: str, **settings: Any) -> bytes:
    target = io.BytesIO()
    image.save(target, kind, **settings)
    return target.getvalue()


def picture(data: bytes) -> Picture:
    with decoded(data) as found:
        assert found.image.mode == "RGB"
        return found


def reason(data: bytes) -> str:
    with pytest.raises(BadItemError) as caught:
        picture(data)
    return str(caught.value)


def photo(width: int = 60, height: int = 40) -> Image.Image:
    """Red left, blue right, with a gradient downwards."""
    levels = np.zeros((height, width, 3), np.uint8)
    levels[:, : width // 2, 0] = 200
    levels[:, width // 2 :, 2] = 200
    levels[:, :, 1] = np.linspace(0, 100, height, dtype=np.uint8)[:, None]
    return Image.fromarray(levels)


def mean(image: Image.Image, box: tuple[int, int, int, int]) -> list[float]:
    return [float(value) for value in np.asarray(image.crop(box)).reshape(-1, 3).mean(0)]


# ---- decoded right ----


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM", "GIF", "AVIF", "JPEG2000"])
def test_every_format_shows_the_picture(kind):
    found = picture(encoded(photo(), kind))
    assert found.format == kind
    assert found.plain == (kind in ("JPEG", "PNG"))
    assert mean(found.image, (5, 5, 20, 35)) == pytest.approx([200, 50, 0], abs=12)
    assert mean(found.image, (40, 5, 55, 35)) == pytest.approx([0, 50, 200], abs=12)


def test_cmyk_is_converted():
    found = picture(encoded(photo().convert("CMYK"), "JPEG", quality=95))
    assert not found.plain
    assert mean(found.image, (5, 5, 20, 35)) == pytest.approx([200, 50, 0], abs=15)


@pytest.mark.parametrize("value", [0, 128, 300, 32896, 65535])
def test_16_bits_are_scaled_and_not_cut_off(value):
    image = Image.fromarray(np.full((4, 4), value, np.uint16))
    for kind in ("PNG", "TIFF"):
        found = picture(encoded(image, kind))
        assert not found.plain
        assert np.asarray(found.image)[0, 0].tolist() == [round(value / 257)] * 3


def test_16_bit_pgm():
    data = b"P5 2 1 65535\n" + struct.pack(">HH", 65535, 32896)
    assert np.asarray(picture(data).image)[0, :, 0].tolist() == [255, 128]


@pytest.mark.parametrize("mode", ["P", "RGBA", "LA"])
def test_transparent_pixels_are_shown_over_white(mode):
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 4, 8))
    image.paste((0, 0, 0, 128), (4, 0, 6, 8))
    found = picture(encoded(image.convert(mode) if mode != "P" else image.quantize(8), "PNG"))
    assert not found.plain
    row = np.asarray(found.image)[0, :, 0]
    assert (row[0], row[7]) == (0, 255)
    assert abs(int(row[5]) - 127) < 3


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_single_transparent_colour(kind):
    image = Image.new("P", (4, 4), 0)
    image.putpalette([9, 9, 9, 200, 0, 0])
    image.putpixel((0, 0), 1)
    found = picture(encoded(image, kind, transparency=0))
    assert np.asarray(found.image)[0, 0].tolist() == [200, 0, 0]
    assert np.asarray(found.image)[1, 1].tolist() == [255, 255, 255]


@pytest.mark.promise(8)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(orientation):
    """Fails when the orientation is not looked at."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = picture(encoded(photo(), "JPEG", exif=exif, quality=95))
    assert found.plain == (orientation == 1)
    assert found.image.size == ((60, 40) if orientation < 5 else (40, 60))
    red_at = {1: "left", 2: "right", 3: "right", 4: "left", 5: "top", 6: "top", 7: "bottom", 8: "bottom"}[orientation]
    width, height = found.image.size
    boxes = {
        "left": (0, 0, 9, height),
        "right": (width - 9, 0, width, height),
        "top": (0, 0, width, 9),
        "bottom": (0, height - 9, width, height),
    }
    assert mean(found.image, boxes[red_at])[0] > 180


def test_damaged_exif_costs_nothing_but_the_original_bytes():
    data = encoded(photo(), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff garbage")
    found = picture(data)
    assert found.image.size == (60, 40)


def test_the_first_frame_of_an_animation():
    frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "green", "blue")]
    for kind in ("GIF", "WEBP", "PNG"):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=50)
        found = picture(data)
        assert not found.plain
        assert np.asarray(found.image)[4, 4].tolist() == pytest.approx([255, 0, 0], abs=6)


def test_one_pixel():
    assert np.asarray(picture(encoded(Image.new("RGB", (1, 1), (1, 2, 3)), "PNG")).image).tolist() == [[[1, 2, 3]]]


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_grey_and_palette(mode):
    found = picture(encoded(photo().convert("L").convert(mode), "PNG"))
    assert found.image.size == (60, 40)
    assert found.plain == (mode != "1")  # a bit a pixel is not read alike everywhere


# ---- refused ----


def test_empty():
    assert reason(b"") == "empty: 0 bytes"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_truncated(kind, share):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (120, 120, 3), dtype=np.uint8))
    data = encoded(noise, kind)
    assert reason(data[: int(len(data) * share)]).startswith(("truncated", "damaged"))


def test_hardly_begun():
    assert reason(encoded(photo(), "JPEG")[:20]).startswith(("damaged: begins like a JPEG", "truncated"))


@pytest.mark.parametrize("level", [0, 9])
@pytest.mark.parametrize("place", [20, 4000])
def test_a_flipped_bit_in_a_png(level, place):
    """Without compression the damage decodes: only the checksum tells."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 60, 3), dtype=np.uint8))
    data = bytearray(encoded(noise, "PNG", compress_level=level))
    data[data.index(b"IDAT") + place] ^= 1
    assert reason(bytes(data)).startswith(("damaged", "truncated"))


def test_a_wrong_checksum_in_a_png():
    data = bytearray(encoded(photo(), "PNG"))
    data[data.index(b"IEND") - 6] ^= 1  # the last byte of the picture's checksum
    assert reason(bytes(data)).startswith("damaged")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"this is a note\nabout a cat", "not an image: text"),
        ("Grüße, žluťoučký kůň".encode() * 400, "not an image: text"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "not an image: a web page"),
        (b"<?xml version='1.0'?><svg xmlns='x'></svg>", "an SVG drawing"),
        (b"%PDF-1.7 ...", "a PDF document"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00", "HEIC"),
        (bytes(range(256)) * 4, "not an image that is read here"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
    ],
)
def test_what_is_no_image_is_called_by_its_name(data, words):
    assert words in reason(data)


def test_32_bit_samples():
    assert "32-bit" in reason(encoded(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"))


def blank_png(width: int, height: int) -> bytes:
    """A black picture of one bit a pixel, made without holding it."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    packer = zlib.compressobj(9)
    row = b"\0" * (1 + (width + 7) // 8)
    body = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("side", "millions"), [(11_000, "121"), (20_000, "400")])
def test_too_large_is_refused_before_it_is_decoded(side, millions, monkeypatch):
    decoding: list[object] = []
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: decoding.append(self))
    assert f"{millions} million pixels are more than the 120 million" in reason(blank_png(side, side))
    assert not decoding


# ---- the content id ----


def test_equal_pixels_have_one_id_however_encoded():
    image = photo()
    ids = {content_id(picture(encoded(image, kind)).image) for kind in ("PNG", "BMP", "TIFF", "PPM")}
    assert len(ids) == 1
    assert len(ids.pop()) == 40


def test_the_id_knows_pixels_and_shape(monkeypatch):
    image = photo()
    other = image.copy()
    other.putpixel((59, 39), (1, 2, 3))
    flat = Image.new("RGB", (6, 4)), Image.new("RGB", (4, 6))
    assert content_id(image) != content_id(other)
    assert content_id(flat[0]) != content_id(flat[1])
    whole = content_id(image)
    monkeypatch.setattr("jobs.kinds.image.decode.HASHED_AT_ONCE", 130)
    assert content_id(image) == whole


def test_the_id_stays_what_it_was():
    assert content_id(photo()) == "abe42be6ea42fccd5ef9a7dbb18cbd4ae3870b64"


# ---- sizes that follow from others ----


def test_strips_change_no_pixel(monkeypatch):
    """Conversions that need several times the picture's memory go a few rows at a time."""
    levels = np.random.default_rng(0).integers(0, 256, (37, 29, 4), dtype=np.uint8)
    clear = Image.fromarray(levels)
    deep = Image.fromarray(np.random.default_rng(1).integers(0, 65536, (37, 29), dtype=np.uint16))
    palette = Image.fromarray(levels[..., 0]).convert("P")
    palette.info["transparency"] = 3
    files = [encoded(clear, "PNG"), encoded(deep, "PNG"), encoded(palette, "PNG", transparency=3)]
    whole = [content_id(picture(data).image) for data in files]
    monkeypatch.setattr("jobs.kinds.image.decode.HASHED_AT_ONCE", 29 * 5)
    assert [content_id(picture(data).image) for data in files] == whole
    over_white = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")
    assert content_id(over_white) == whole[0]
