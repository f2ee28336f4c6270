"""Encoded image to the pixels that a run feeds: decoded, resized and cropped by its ``input`` (backbones.preprocessing).

PIL decodes, and torchvision what both decode to the same pixels: plain JPEG files, of which it makes no copies. Resizing is
torch's on uint8, faster than PIL's and within a level of it; nearest neighbour takes exactly the pixels that PIL (and so Keras)
takes.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps
from torch import Tensor
from torch.nn import functional

from tlbatch.errors import DataError

# Of odd metadata; what matters is whether a picture decodes. For the whole process: catch_warnings is not for several threads,
# as each puts back the filters that it found, another's among them.
warnings.filterwarnings("ignore", module=r"PIL\..*")

MOST_RESIZED = 64_000_000  # pixels
TO_RGB = 3  # torchvision's ImageReadMode.RGB
LIBRARIES = ("image_stable.so", "image.so")  # torchvision's, by what versions call it
LUMA = (19595, 38470, 7471)  # ITU-R 601-2 in 1/65536, rounded as PIL's convert("L") does


def load_pixels(encoded: bytes, settings: Mapping[str, Any]) -> Tensor:
    """uint8 [c, size, size] of a JPEG or PNG file; c is 1 if ``settings`` ask for grayscale, else 3 (RGB). Pure.

    Raises DataError where the bytes are no image.
    """
    pixels = decode(encoded)
    if settings["grayscale"]:
        pixels = _luma(pixels)
    size, interpolation = int(settings["size"]), settings["interpolation"]
    if settings["resize"] == "squash":
        pixels = resize(pixels, size, size, interpolation)
    elif settings["resize"] == "pad":
        pixels = _padded(pixels, size, interpolation)
    else:
        pixels = _cropped(pixels, size, float(settings["crop"]), interpolation)
    return pixels.contiguous()  # a view would keep the whole picture in memory


def decode(encoded: bytes) -> Tensor:
    """uint8 [3, h, w], RGB, upright (EXIF), transparent pixels over white. Raises DataError where the bytes are no image."""
    try:
        image = Image.open(io.BytesIO(encoded))
        pixels = _decoded_jpeg(encoded) if _is_plain_jpeg(image) else None
        return torch.from_numpy(np.array(_rgb(image))).permute(2, 0, 1) if pixels is None else pixels
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"a stored image does not decode ({error}): run the study again, `prepare` first") from error


def _is_plain_jpeg(image: Image.Image) -> bool:
    """Upright and of colours that libjpeg turns into RGB itself: PIL and torchvision make the same pixels of these."""
    return image.format == "JPEG" and image.mode in ("L", "RGB") and image.getexif().get(ExifTags.Base.Orientation, 1) == 1


def _decoded_jpeg(encoded: bytes) -> Tensor | None:
    """uint8 [3, h, w] by torchvision, in three fifths of PIL's time and without Python's lock; None where it does not."""
    if (decode_jpeg := _jpeg_decoder()) is None:
        return None
    try:
        decoded: Tensor = decode_jpeg(torch.frombuffer(bytearray(encoded), dtype=torch.uint8), TO_RGB, False)
        return decoded
    except RuntimeError:  # PIL makes do with some that are damaged
        return None


@lru_cache(maxsize=1)
def _jpeg_decoder() -> Callable[[Tensor, int, bool], Tensor] | None:
    """torchvision's operator; None where its library does not load. Importing all of torchvision would take a second."""
    found = find_spec("torchvision")
    places = found.submodule_search_locations or () if found else ()
    for library in (Path(place) / name for place in places for name in LIBRARIES):
        with suppress(OSError, AttributeError):
            torch.ops.load_library(library)  # type: ignore[no-untyped-call]
            decoder: Callable[[Tensor, int, bool], Tensor] = torch.ops.image.decode_jpeg
            return decoder
    return None


def _rgb(image: Image.Image) -> Image.Image:
    ImageOps.exif_transpose(image, in_place=True)  # else it copies what is upright, as convert does what is RGB
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image if image.mode == "RGB" else image.convert("RGB")


def _luma(pixels: Tensor) -> Tensor:
    """uint8 [1, h, w]: brightness, as PIL's convert("L")."""
    red, green, blue = (pixels[i].to(torch.int32) for i in range(3))
    grey = (red * LUMA[0] + green * LUMA[1] + blue * LUMA[2] + 0x8000) >> 16
    return grey.to(torch.uint8).unsqueeze(0)


def resize(pixels: Tensor, height: int, width: int, interpolation: str) -> Tensor:
    """uint8 [c, height, width]; ``bilinear`` and ``bicubic`` are antialiased when they shrink, as PIL's and torchvision's."""
    if tuple(pixels.shape[1:]) == (height, width):
        return pixels
    if interpolation == "nearest":
        rows, columns = _nearest(pixels.shape[1], height), _nearest(pixels.shape[2], width)
        return pixels[:, rows][:, :, columns]
    resized = functional.interpolate(
        _laid_out(pixels), (height, width), mode=interpolation, align_corners=False, antialias=True
    )
    return resized.squeeze(0)


def _laid_out(pixels: Tensor) -> Tensor:
    """[1, c, h, w], the same memory. Of channels that lie side by side, as decoders give them, torch keeps the layout, which
    else it takes apart at the end (a third of the time); it tells so by the first stride, too, which unsqueeze sets to c."""
    return pixels.as_strided((1, *pixels.shape), (pixels.numel(), *pixels.stride()))


@lru_cache(maxsize=4096)
def _nearest(before: int, after: int) -> Tensor:
    """[after] indices that PIL's NEAREST takes of ``before``: it adds up the step, in doubles, from the first centre."""
    step = before / after
    steps = np.full(after, step)
    steps[0] = step * 0.5
    return torch.from_numpy(np.minimum(np.add.accumulate(steps).astype(np.int64), before - 1))


def _cropped(pixels: Tensor, size: int, crop: float, interpolation: str) -> Tensor:
    """Shorter side to ``size / crop``, then the centre; sizes and places rounded as torchvision's Resize and CenterCrop.

    Where the resized picture would have more than ``MOST_RESIZED`` pixels, what is far from its centre is cut off first.
    """
    short = int(size / crop + 1e-6)
    pixels = _middle(pixels, size, short)
    height, width = pixels.shape[1:]
    if height <= width:
        height, width = short, int(short * width / height)
    else:
        height, width = int(short * height / width), short
    pixels = resize(pixels, height, width, interpolation)
    top, left = round((height - size) / 2), round((width - size) / 2)
    return pixels[:, top : top + size, left : left + size]


def _middle(pixels: Tensor, size: int, short: int) -> Tensor:
    """The part of a picture around its centre that the centre of the resized one is made of, with room to spare; or all."""
    height, width = pixels.shape[1:]
    scale = short / min(height, width)
    if height * width * scale**2 <= MOST_RESIZED:
        return pixels
    room = math.ceil(size / scale) + 2 * (math.ceil(4 / min(scale, 1.0)) + 2)
    for axis in (1, 2):
        side = pixels.shape[axis]
        if side > min(height, width) and side > room:
            length = max(room + (side - room) % 2, min(height, width))  # as even as the side, so that the centre stays
            pixels = pixels.narrow(axis, (side - length) // 2, length)
    return pixels


def _padded(pixels: Tensor, size: int, interpolation: str) -> Tensor:
    """Longer side to ``size``, the rest black on both sides alike."""
    height, width = pixels.shape[1:]
    longest = max(height, width)
    height, width = max(1, round(height * size / longest)), max(1, round(width * size / longest))
    pixels = resize(pixels, height, width, interpolation)
    top, left = (size - height) // 2, (size - width) // 2
    return functional.pad(pixels, (left, size - width - left, top, size - height - top))


def normaliser(settings: Mapping[str, Any]) -> Callable[[Tensor], Tensor]:
    """From pixels [n, c, h, w] in 0..255 (uint8 or float, RGB) to the float32 a network is fed, on the pixels' device.

    One grey channel stays one where all channels are scaled alike; else it becomes three, each with its own mean and std.
    """
    means, stds = [float(mean) for mean in settings["mean"]], [float(std) for std in settings["std"]]
    if settings["grayscale"] and len({*zip(means, stds, strict=True)}) == 1:
        means, stds = means[:1], stds[:1]
    white = 255.0 if settings["scale"] == "unit" else 1.0
    factors = [1 / (white * std) for std in stds]
    factor = torch.tensor(factors).view(1, -1, 1, 1)
    offset = torch.tensor([-mean / std for mean, std in zip(means, stds, strict=True)]).view(1, -1, 1, 1)
    reverse = settings["channels"] == "bgr"

    def normalise(pixels: Tensor) -> Tensor:
        pixels = pixels.flip(1) if reverse else pixels
        in_place = pixels.dtype == torch.uint8 and pixels.device.type == "cpu" and pixels.shape[1] == len(factors)
        if in_place and not _is_followed():  # what is exported or compiled is one operation
            return _scaled(pixels.float(), factors, offset.flatten())
        return torch.addcmul(offset.to(pixels.device), pixels.float(), factor.to(pixels.device))

    return normalise


def _is_followed() -> bool:
    """Whether torch writes down what is computed."""
    return torch.compiler.is_compiling() or bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]


def _scaled(pixels: Tensor, factors: Sequence[float], offset: Tensor) -> Tensor:
    """In place, a channel at a time: the bits of addcmul, which rounds but once, too, in a quarter of its time."""
    for channel, own in enumerate(pixels.unbind(1)):
        torch.add(offset[channel], own, alpha=factors[channel], out=own)
    return pixels
