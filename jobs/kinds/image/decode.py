"""An image file to its picture: RGB, upright, checked to the last byte; or the reason why it cannot be used, in words.

What comes out: the first frame of an animation; transparent pixels over white; 16-bit grey scaled to 8; CMYK converted; EXIF
rotation applied. What can be read is a list (``FORMATS``): no decoder that starts programs or guesses by a file's name.
"""

from __future__ import annotations

import hashlib
import io
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from jobs.data.items import BadItemError

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000")
MOST_PIXELS = 120_000_000
"""Beyond it a picture is refused before it is decoded (4 bytes a pixel in memory). Telephones make up to 108 million."""
LARGE_PIXELS = 16_000_000
ID_DIGITS = 40
HASHED_AT_ONCE = 1_000_000  # pixels
ORIENTATION = 0x0112  # EXIF tag
_one_large_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Picture:
    """A decoded file. ``plain``: a JPEG or PNG file that every decoder shows as ``image``, without turning or blending it."""

    image: Image.Image  #: RGB, upright
    format: str  #: as Pillow names it
    plain: bool

    @property
    def lossless(self) -> bool:
        return self.format in ("PNG", "GIF", "BMP", "TIFF", "PPM")


@contextmanager
def decoded(data: bytes) -> Iterator[Picture]:
    """The picture of a whole file. Raises BadItemError.

    Of pictures over 16 million pixels one at a time is held in memory, whatever the number of threads.
    """
    with ExitStack() as held:
        yield _decoded(data, held)


def _decoded(data: bytes, held: ExitStack) -> Picture:
    if not data:
        raise BadItemError("empty: 0 bytes")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        _make_room(image.size, held)
        image.load()
        _check_chunks(data, image)
        return _upright_rgb(image, data)
    except (BadItemError, MemoryError):
        raise
    except UnidentifiedImageError:
        raise BadItemError(_what_it_is(data)) from None
    except Image.DecompressionBombError as error:
        raise BadItemError(_too_large(_number_in(str(error)))) from None
    except Exception as error:  # decoders raise anything on damaged bytes, and a bad file costs one line
        raise BadItemError(_damage(error)) from error


def content_id(image: Image.Image) -> str:
    """40 hex digits of sha256 over size and RGB bytes: equal for equal pixels, however they were encoded."""
    width, height = image.size
    digest = hashlib.sha256(f"{width}x{height}\n".encode())
    rows = max(1, HASHED_AT_ONCE // width)
    if rows >= height:
        digest.update(image.tobytes())
    else:
        for top in range(0, height, rows):
            digest.update(image.crop((0, top, width, min(top + rows, height))).tobytes())
    return digest.hexdigest()[:ID_DIGITS]


# ---- to RGB ----


def _make_room(size: tuple[int, int], held: ExitStack) -> None:
    pixels = size[0] * size[1]
    if pixels > MOST_PIXELS:
        raise BadItemError(f"{size[0]:,} x {size[1]:,} pixels: {_too_large(pixels)}")
    if pixels > LARGE_PIXELS:
        held.enter_context(_one_large_at_a_time)


def _too_large(pixels: int) -> str:
    return (
        f"{pixels / 1e6:,.0f} million pixels are more than the {MOST_PIXELS / 1e6:.0f} million that are decoded; scale it down"
    )


def _check_chunks(data: bytes, image: Image.Image) -> None:
    """PNG files carry checksums, which decoding leaves unchecked."""
    if image.format == "PNG":
        with Image.open(io.BytesIO(data), formats=("PNG",)) as again:
            again.verify()


def _upright_rgb(image: Image.Image, data: bytes) -> Picture:
    name = "JPEG" if image.format == "MPO" else str(image.format)
    as_read = image.mode in ("RGB", "L", "P") and not image.has_transparency_data
    try:
        turned = image.getexif().get(ORIENTATION, 1) in range(2, 9)
        readable = True
    except Exception:  # noqa: BLE001 - damaged EXIF: the pixels are right, what it says of them is not known
        turned = readable = False
    upright = ImageOps.exif_transpose(image) if turned else image
    plain = as_read and readable and not turned and (name == "JPEG" or (name == "PNG" and _is_simple_png(data, image)))
    return Picture(_rgb(upright, name), name, plain)


def _is_simple_png(data: bytes, image: Image.Image) -> bool:
    """8 bits a sample, one frame: what every decoder reads alike."""
    return data[24] == 8 and not getattr(image, "is_animated", False)


def _rgb(image: Image.Image, name: str) -> Image.Image:
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    if image.mode.startswith("I;16") or (image.mode == "I" and name in ("PNG", "PPM")):
        return _in_strips(image, _from_16_bits)
    if image.mode in ("I", "F"):
        raise BadItemError("32-bit samples, whose range is not known: convert it to 8 or 16 bits")
    if image.has_transparency_data:
        return _in_strips(image, _over_white)
    return image.convert("RGB")


def _in_strips(image: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """RGB: the picture converted a few rows at a time, so that it is in memory twice and not five times."""
    width, height = image.size
    made, rows = Image.new("RGB", image.size), max(1, HASHED_AT_ONCE // width)
    for top in range(0, height, rows):
        made.paste(convert(image.crop((0, top, width, min(top + rows, height)))).convert("RGB"), (0, top))
    return made


def _over_white(image: Image.Image) -> Image.Image:
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))


def _from_16_bits(image: Image.Image) -> Image.Image:
    """0 … 65535 to 0 … 255, rounded. (Pillow's own conversion cuts off at 255.)"""
    values = np.asarray(image).astype(np.int64)
    return Image.fromarray(((values * 255 + 32767) // 65535).clip(0, 255).astype(np.uint8))


# ---- reasons ----

_STARTS = {
    b"\xff\xd8\xff": "a JPEG file",
    b"\x89PNG\r\n\x1a\n": "a PNG file",
    b"GIF8": "a GIF file",
    b"II*\x00": "a TIFF file",
    b"MM\x00*": "a TIFF file",
    b"BM": "a BMP file",
}


def _what_it_is(data: bytes) -> str:
    head = data[:512].lstrip().lower()
    if data.startswith(b"%PDF"):
        return "not an image: a PDF document"
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"hevc", b"mif1", b"msf1"):
        return "a HEIC file, which is not read here: convert it to JPEG"
    if head.startswith((b"<!doctype html", b"<html")):
        return "not an image: a web page"
    if b"<svg" in head:
        return "an SVG drawing, which has no pixels: convert it to PNG"
    for start, name in _STARTS.items():
        if data.startswith(start):
            return f"damaged: begins like {name}, but has no readable header ({len(data):,} bytes)"
    if _is_text(data[:4096]):
        return "not an image: text"
    return f"not an image that is read here ({', '.join(FORMATS)})"


def _is_text(data: bytes) -> bool:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(data) - 4:
            return False
        text = data[: error.start].decode("utf-8")
    return all(char.isprintable() or char in "\t\r\n\f" for char in text)


def _damage(error: Exception) -> str:
    text = (str(error).splitlines() or [""])[0] or type(error).__name__
    if "truncated" in text.lower():
        return "truncated: the file ends before the picture does"
    return f"damaged: {text}"


def _number_in(text: str) -> int:
    found = re.search(r"\((\d+) pixels\)", text)
    return int(found.group(1)) if found else 2 * (Image.MAX_IMAGE_PIXELS or MOST_PIXELS)
