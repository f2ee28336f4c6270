"""For those who use a model's files without tlbatch: how to feed it, in words and as a program that tests run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobs.kinds.feed import Usage

RESIZE = {
    "crop": """\
    short = fed["shorter_side"]
    image = image.resize([int(short * side / min(image.size)) for side in image.size], filter)
    left, top = (round((side - size) / 2) for side in image.size)
    image = image.crop((left, top, left + size, top + size))
""",
    "squash": """\
    image = image.resize((size, size), filter)
""",
    "pad": """\
    image = image.resize([max(1, round(side * size / max(image.size))) for side in image.size], filter)
    square = Image.new(image.mode, (size, size))
    square.paste(image, tuple((size - side) // 2 for side in image.size))
    image = square
""",
}
START = """\
import json

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

card = json.load(open("model.json"))
session = onnxruntime.InferenceSession("model.onnx")


def pixels(path):
    fed, image = card["input"], ImageOps.exif_transpose(Image.open(path)).convert("{mode}")
    size, filter = fed["size"], Image.Resampling[fed["interpolation"].upper()]
"""
END = """\
    return np.atleast_3d(image).transpose(2, 0, 1)


batch = np.stack([pixels(path) for path in ["photo.jpg"]])
for probabilities in session.run(["probabilities"], {"pixels": batch})[0]:
    print(card["classes"][probabilities.argmax()], probabilities.max())
"""


def onnx_snippet(settings: Mapping[str, Any]) -> str:
    """A program that says what ``photo.jpg`` shows, run beside ``model.onnx`` and ``model.json``."""
    return START.format(mode="L" if settings["grayscale"] else "RGB") + RESIZE[settings["resize"]] + END


def described_input(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as a study has them, and what follows from them."""
    short = int(int(settings["size"]) / float(settings["crop"]) + 1e-6)  # as jobs.kinds.image.pixels rounds it
    return {**settings, **({"shorter_side": short} if settings["resize"] == "crop" else {})}


def words(settings: Mapping[str, Any]) -> str:
    size = settings["size"]
    resize = {
        "crop": f"shorter side to {settings.get('shorter_side')} pixels, then the central {size} x {size}",
        "squash": f"to {size} x {size} pixels, whatever the aspect ratio",
        "pad": f"longer side to {size} pixels, black bars to {size} x {size}",
    }[settings["resize"]]
    colour = "one grey channel (ITU-R 601)" if settings["grayscale"] else "RGB"
    white = "pixels / 255" if settings["scale"] == "unit" else "pixels (0 to 255)"
    order = ", channels in the order BGR" if settings["channels"] == "bgr" else ""
    return (
        f"Upright (EXIF), transparency over white, {colour}; resized ({settings['interpolation']}): {resize}. "
        f"Then ({white} - mean) / std with mean {settings['mean']} and std {settings['std']}{order}. "
        "The ONNX file does the last step itself."
    )


def usage(settings: Mapping[str, Any]) -> Usage:
    described = described_input(settings)
    onnx = "`pixels` uint8 [images, channels, height, width]"
    return Usage(described, words(described), onnx, "images", onnx_snippet(settings))
